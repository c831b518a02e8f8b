/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements ring.h. Records are stored back to back and wrap at the end of the buffer; an index has the start of each.
 * Sequence numbers only grow but may have gaps (in a copy that was too slow for its source), so a lookup first guesses
 * as if there were no gaps and then does a binary search.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "ring.h"

#define RECORD_AVERAGE 256
#define RECORDS_LEAST  64
#define ENTRIES_MAX    1000000

int ring_init(struct ring *ring, size_t entries)
{
	size_t size;
	void *index, *bytes;

	if (entries == 0 || entries > ENTRIES_MAX)
		return -EINVAL;
	size = entries * RECORD_AVERAGE;
	if (size < RECORDS_LEAST * EVENT_RECORD_MAX)
		size = RECORDS_LEAST * EVENT_RECORD_MAX;
	index = mmap(NULL, entries * sizeof(struct ring_entry), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (index == MAP_FAILED)
		return -errno;
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED) {
		int r = -errno;

		munmap(index, entries * sizeof(struct ring_entry));
		return r;
	}
	*ring = (struct ring){.index = index, .entries = entries, .bytes = bytes, .size = size};
	return 0;
}

void ring_free(struct ring *ring)
{
	if (ring->index)
		munmap(ring->index, ring->entries * sizeof(struct ring_entry));
	if (ring->bytes)
		munmap(ring->bytes, ring->size);
	*ring = (struct ring){0};
}

static struct ring_entry *slot(const struct ring *ring, size_t nth)
{
	return &ring->index[(ring->first + nth) % ring->entries];
}

static void evict(struct ring *ring)
{
	ring->used -= slot(ring, 0)->size;
	ring->first = (ring->first + 1) % ring->entries;
	ring->count--;
}

void ring_add(struct ring *ring, const void *record, size_t size)
{
	struct event_head head;
	struct ring_entry *entry;
	size_t offset = 0, piece;

	if (!ring->index || size < sizeof(head) || size > EVENT_RECORD_MAX)
		return;
	memcpy(&head, record, sizeof(head));
	if (head.seq <= ring->last)
		return;
	while (ring->count == ring->entries || ring->used + size > ring->size)
		evict(ring);
	if (ring->count > 0) {
		entry = slot(ring, ring->count - 1);
		offset = (entry->offset + entry->size) % ring->size;
	}
	*slot(ring, ring->count) = (struct ring_entry){.seq = head.seq, .offset = offset, .size = size};
	ring->count++;
	ring->used += size;
	ring->last = head.seq;
	piece = size < ring->size - offset ? size : ring->size - offset;
	memcpy(ring->bytes + offset, record, piece);
	memcpy(ring->bytes, (const char *)record + piece, size - piece);
}

/* The number of the first slot with at least seq, or ring->count. */
static size_t find(const struct ring *ring, uint64_t seq)
{
	size_t low = 0, high = ring->count;
	uint64_t oldest;

	if (high == 0 || seq > ring->last)
		return high;
	oldest = slot(ring, 0)->seq;
	if (seq <= oldest)
		return 0;
	if (seq - oldest < high && slot(ring, seq - oldest)->seq == seq)
		return seq - oldest;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slot(ring, middle)->seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t copy(const struct ring *ring, size_t nth, uint64_t *seq, void *record)
{
	const struct ring_entry *entry = slot(ring, nth);
	size_t piece;

	piece = entry->size < ring->size - entry->offset ? entry->size : ring->size - entry->offset;
	memcpy(record, ring->bytes + entry->offset, piece);
	memcpy((char *)record + piece, ring->bytes, entry->size - piece);
	*seq = entry->seq;
	return entry->size;
}

uint64_t ring_next(const struct ring *ring, uint64_t seq)
{
	size_t nth = find(ring, seq);

	return nth < ring->count ? slot(ring, nth)->seq : UINT64_MAX;
}

uint64_t ring_before(const struct ring *ring, uint64_t seq)
{
	size_t nth = find(ring, seq);

	if (nth < ring->count && slot(ring, nth)->seq == seq)
		return seq;
	return nth > 0 ? slot(ring, nth - 1)->seq : 0;
}

size_t ring_read(const struct ring *ring, uint64_t *seq, void *record)
{
	size_t nth = find(ring, *seq);

	return nth < ring->count ? copy(ring, nth, seq, record) : 0;
}

size_t ring_read_back(const struct ring *ring, uint64_t *seq, void *record)
{
	uint64_t at = ring_before(ring, *seq);

	if (at == 0)
		return 0;
	*seq = at;
	return ring_read(ring, seq, record);
}
