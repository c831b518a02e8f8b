/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The progress of a snapshot: each block of a sealed manifest's files is missing, taken by a worker, or done. */
#ifndef STAGES_SNAPSHOT_BLOCKS_H
#define STAGES_SNAPSHOT_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "manifest.h"

struct blocks_run {			/* blocks of one file */
	uint32_t file;
	uint64_t first, count;
};

bool blocks_complete(const struct manifest *m);
bool blocks_is_done(const struct manifest *m, uint32_t file, uint64_t block);

/* A run marked twice counts once. 0, or -EINVAL: block numbers out of range. */
int blocks_mark(struct manifest *m, const struct blocks_run *run);
void blocks_forget(struct manifest *m, uint32_t file);
uint64_t blocks_run_bytes(const struct manifest *m, const struct blocks_run *run);

/* Blocks that are done in `from`, in files that are the same ones there, become done here. */
void blocks_adopt(struct manifest *m, const struct manifest *from);

/*
 * The next run of at most `maximum` blocks that is neither done nor taken, and takes it. False: there is
 * none.
 */
bool blocks_take(struct manifest *m, uint64_t maximum, struct blocks_run *ret);
void blocks_give_back(struct manifest *m, const struct blocks_run *run);

#endif
