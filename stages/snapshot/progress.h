/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which snapshot is fetched into a directory, and which of its blocks are there, also after a power cut. */
#ifndef STAGES_SNAPSHOT_PROGRESS_H
#define STAGES_SNAPSHOT_PROGRESS_H

#include "directory.h"

int progress_load(struct directory *d, struct manifest *ret);
/* Makes this the plan, with the blocks that are marked in it; drops parts that are in no plan any more. */
int progress_adopt(struct directory *d, struct manifest *m);
int progress_record(struct directory *d, const struct blocks_run *run);
int progress_sync(struct directory *d);

#endif
