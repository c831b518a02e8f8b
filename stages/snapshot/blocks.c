/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements blocks.h with the two bitmaps of a sealed manifest: blocks that are done, and blocks that a worker
 * fetches. Every change updates the counts of file and manifest, so reading the progress costs nothing.
 */
#include <errno.h>
#include <string.h>

#include "blocks.h"

static bool bit(const unsigned char *map, uint64_t i)
{
	return map[i / 8] >> (i % 8) & 1;
}

static void set_bit(unsigned char *map, uint64_t i, bool value)
{
	if (value)
		map[i / 8] |= (unsigned char)(1u << (i % 8));
	else
		map[i / 8] &= (unsigned char)~(1u << (i % 8));
}

static uint64_t block_bytes(const struct manifest_file *file, uint64_t block)
{
	return block + 1 < file->blocks ? MANIFEST_BLOCK : file->size - block * MANIFEST_BLOCK;
}

static bool run_ok(const struct manifest *m, const struct blocks_run *run)
{
	return run->file < m->count && run->count && run->first < m->files[run->file].blocks &&
	       run->count <= m->files[run->file].blocks - run->first;
}

bool blocks_complete(const struct manifest *m)
{
	return m->done == m->total;
}

bool blocks_is_done(const struct manifest *m, uint32_t file, uint64_t block)
{
	return bit(m->block_done, m->files[file].first_block + block);
}

int blocks_mark(struct manifest *m, const struct blocks_run *run)
{
	struct manifest_file *file;

	if (!run_ok(m, run))
		return -EINVAL;
	file = &m->files[run->file];
	for (uint64_t b = run->first; b < run->first + run->count; b++) {
		if (bit(m->block_done, file->first_block + b))
			continue;
		set_bit(m->block_done, file->first_block + b, true);
		file->blocks_done++;
		m->done += block_bytes(file, b);
	}
	return 0;
}

void blocks_forget(struct manifest *m, uint32_t index)
{
	struct manifest_file *file = &m->files[index];

	for (uint64_t b = 0; b < file->blocks; b++) {
		if (bit(m->block_done, file->first_block + b))
			m->done -= block_bytes(file, b);
		set_bit(m->block_done, file->first_block + b, false);
	}
	file->blocks_done = 0;
}

uint64_t blocks_run_bytes(const struct manifest *m, const struct blocks_run *run)
{
	const struct manifest_file *file = &m->files[run->file];
	uint64_t first = run->first * MANIFEST_BLOCK, end = (run->first + run->count) * MANIFEST_BLOCK;

	return (end < file->size ? end : file->size) - first;
}

void blocks_adopt(struct manifest *m, const struct manifest *from)
{
	for (uint32_t i = 0; i < m->count; i++) {
		struct manifest_file *file = &m->files[i];
		const struct manifest_file *old = manifest_find(from, file->path);

		if (!old || old->size != file->size || strcmp(old->etag, file->etag))
			continue;
		for (uint64_t b = 0; b < file->blocks; b++)
			if (bit(from->block_done, old->first_block + b))
				blocks_mark(m, &(struct blocks_run){ i, b, 1 });
	}
}

static bool is_free(const struct manifest *m, const struct manifest_file *file, uint64_t block)
{
	return !bit(m->block_done, file->first_block + block) && !bit(m->block_taken, file->first_block + block);
}

bool blocks_take(struct manifest *m, uint64_t maximum, struct blocks_run *ret)
{
	for (; m->cursor < m->count; m->cursor++, m->cursor_block = 0) {
		const struct manifest_file *file = &m->files[m->order[m->cursor]];

		for (; m->cursor_block < file->blocks; m->cursor_block++) {
			uint64_t first = m->cursor_block, count = 0;

			if (!is_free(m, file, first))
				continue;
			while (count < maximum && first + count < file->blocks && is_free(m, file, first + count))
				set_bit(m->block_taken, file->first_block + first + count++, true);
			m->cursor_block = first + count;
			*ret = (struct blocks_run){ m->order[m->cursor], first, count };
			return true;
		}
	}
	return false;
}

void blocks_give_back(struct manifest *m, const struct blocks_run *run)
{
	for (uint64_t b = run->first; b < run->first + run->count; b++)
		set_bit(m->block_taken, m->files[run->file].first_block + b, false);
	/* Rare, so the search simply starts over. */
	m->cursor = 0;
	m->cursor_block = 0;
}
