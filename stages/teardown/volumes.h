/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device-mapper devices at the end of the machine. Both calls keep to what is left of the role's time (within.h). */
#ifndef STAGES_TEARDOWN_VOLUMES_H
#define STAGES_TEARDOWN_VOLUMES_H

#include <stdbool.h>

/* Resumes each suspended device. */
void volumes_resume(void);

/* Removes all devices. False: at least one could not be removed. */
bool volumes_close(void);

#endif
