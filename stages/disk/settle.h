/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mounted volume's settings: queues, swap file, directories of the services. */
#ifndef STAGES_DISK_SETTLE_H
#define STAGES_DISK_SETTLE_H

#include "work.h"

extern const struct stage_option disk_directory_options[];

void disk_outlast(const struct work *w);	/* how long a request may take, before the disk is read */
void disk_tune(const struct work *w);	/* queues of disk and volume */

/* Directories and swap of a mounted volume. 0, or negative errno with the reason. */
int disk_settle(const struct work *w, char why[DISK_WHY_MAX]);

#endif
