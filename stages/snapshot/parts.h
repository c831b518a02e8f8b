/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of a snapshot while they are not whole. A file gets its own name only when every file is whole and on the
 * disk, and the mark `complete` comes last.
 */
#ifndef STAGES_SNAPSHOT_PARTS_H
#define STAGES_SNAPSHOT_PARTS_H

#include <stdbool.h>

#include "directory.h"

/* Bytes that have still to be allocated, and that are free for us. */
int parts_space(struct directory *d, const struct manifest *m, uint64_t *ret_needed, uint64_t *ret_free);

/* The descriptor of a file's part, made and given its full size where missing. */
int parts_open(struct directory *d, const struct manifest *m, uint32_t file);

/* Is it a file of that size? */
bool parts_has_size(int at, const char *name, uint64_t size);

/* Removes those that are not of this plan; NULL: all. */
void parts_drop_stale(struct directory *d, const struct manifest *m);

/*
 * Every file to its name, then the mark. -EEXIST: something that is not ours has that name. -ENODATA: a file is not
 * there, or not whole.
 */
int parts_finish(struct directory *d, struct manifest *m);

#endif
