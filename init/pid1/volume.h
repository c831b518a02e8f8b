/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether what a stage has mounted is still good. The kernel makes a file system read-only when it finds errors in it,
 * and a disk may be removed: then the stage that was done has failed, with the reason, and the plan does what follows
 * from that.
 */
#ifndef INIT_PID1_VOLUME_H
#define INIT_PID1_VOLUME_H

#include "init/lib/config.h"
#include "init/plan/plan.h"

/* Room for all mount points of the configuration's stages. 0 or negative errno. */
int volume_init(const struct config *config, struct plan *plan);

/* That node is done: the file system on its mount point is watched, if it is a stage with one. */
void volume_done(size_t node);

#endif
