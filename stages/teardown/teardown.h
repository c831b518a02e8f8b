/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two halves of the teardown role share. */
#ifndef STAGES_TEARDOWN_TEARDOWN_H
#define STAGES_TEARDOWN_TEARDOWN_H

#include <stdbool.h>
#include <stdint.h>

#define TEARDOWN_BUSY_MS  800	/* how long a busy mount or device may take to be let go */
#define TEARDOWN_AGAIN_MS 50	/* between two tries; there is no notification for "no longer busy" */

/* Of the role's whole time. */
int64_t teardown_left_ms(void);

/* dm.c. False: not all of them could be removed. */
void teardown_resume(void);
bool teardown_close_devices(void);

#endif
