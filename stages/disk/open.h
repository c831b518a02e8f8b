/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening an existing volume, and adding the keyslots that `enroll` lists. */
#ifndef STAGES_DISK_OPEN_H
#define STAGES_DISK_OPEN_H

#include "work.h"

int disk_open(struct work *w, struct luks *luks);	/* ends the stage, or -ENOKEY: no source has a key for it */
int disk_resume(struct work *w, struct luks *luks);	/* of a volume that is active already; ends the stage */

#endif
