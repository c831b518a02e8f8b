/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A byte ring of event records (struct event_head and its strings), allocated once. PID 1 keeps the events of this boot
 * in one; the API has a copy in another. Adding evicts the oldest records and cannot fail; readers ask by sequence
 * number, so a slow reader delays nothing and knows how much it missed.
 */
#ifndef INIT_LIB_RING_H
#define INIT_LIB_RING_H

#include <stddef.h>
#include <stdint.h>

#include <gantry/event.h>

struct ring_entry {
	uint64_t seq;
	uint32_t offset;
	uint32_t size;
};

struct ring {
	struct ring_entry *index;	/* circular, `entries` slots */
	size_t entries;
	size_t first, count;		/* oldest slot, slots in use */
	char *bytes;			/* circular; a record may lie across the end */
	size_t size, used;
	uint64_t last;			/* seq of the newest, 0: none yet */
};

/*
 * Room for `entries` records of 256 bytes on average, and at least for 64 of the largest. The memory is mapped, so
 * unused pages cost nothing. 0 or negative errno. ring_free() accepts a zeroed ring.
 */
int ring_init(struct ring *ring, size_t entries);
void ring_free(struct ring *ring);

/* Adds a record of at most EVENT_RECORD_MAX bytes whose seq is above ring->last; other records are ignored. */
void ring_add(struct ring *ring, const void *record, size_t size);

/* Copies the first record with at least *seq, sets *seq to its number and returns its size; 0: there is none. */
size_t ring_read(const struct ring *ring, uint64_t *seq, void *record);

/* The same with the last record of at most *seq. */
size_t ring_read_back(const struct ring *ring, uint64_t *seq, void *record);

/* The number of the first record with at least seq (UINT64_MAX: none), and of the last with at most seq (0: none). */
uint64_t ring_next(const struct ring *ring, uint64_t seq);
uint64_t ring_before(const struct ring *ring, uint64_t seq);

#endif
