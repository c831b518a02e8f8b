/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of a sync: which blocks are synced to the disk. Plain text: a first line that names the manifest, then
 * one line per run of blocks; parsed as strictly as untrusted input.
 */
#ifndef STAGES_SNAPSHOT_JOURNAL_H
#define STAGES_SNAPSHOT_JOURNAL_H

#include <stddef.h>

#include "blocks.h"

#define JOURNAL_SIZE_MAX   (1u << 28)
#define JOURNAL_RECORD_MAX 64

/* Both return the bytes written. */
size_t journal_format_head(const struct manifest *m, char ret[static 128]);
size_t journal_format_record(const struct blocks_run *run, char ret[static JOURNAL_RECORD_MAX]);

/*
 * Marks what a journal says. It ends at the first line that is cut, damaged or makes no sense; *ret_valid is
 * how many bytes come before that, and writing goes on there. -ESTALE: the journal of another manifest.
 */
int journal_replay(const void *bytes, size_t size, struct manifest *m, size_t *ret_valid);

#endif
