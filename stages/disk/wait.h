/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for the configured disk to appear. */
#ifndef STAGES_DISK_WAIT_H
#define STAGES_DISK_WAIT_H

#include "work.h"

/* Waits until the configured disk is there. STAGE_DONE: w->disk and w->fd are it; else the stage's end. */
int disk_wait(struct work *w);

#endif
