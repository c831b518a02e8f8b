/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The events of this boot as two rings, which a reader sees as one in the order of the sequence numbers: the kept
 * events (struct event_head's `kept`) evict only one another, so no number of other events can push them out. Where
 * events of the other ring are gone, the numbers have gaps.
 */
#ifndef INIT_LIB_HISTORY_H
#define INIT_LIB_HISTORY_H

#include "ring.h"

struct history {
	struct ring kept;	/* not initialized: all events are in the other ring */
	struct ring others;
};

/* Room for `entries` other events and half as many kept ones. 0 or negative errno. */
int history_init(struct history *history, size_t entries);

/* As ring_add(). */
void history_add(struct history *history, const void *record, size_t size);

/* As ring_read() and ring_read_back(). */
size_t history_read(const struct history *history, uint64_t *seq, void *record);
size_t history_read_back(const struct history *history, uint64_t *seq, void *record);

/* The number of the newest event, 0: none yet. */
uint64_t history_last(const struct history *history);

#endif
