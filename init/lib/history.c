/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements history.h. */
#include <stdbool.h>
#include <string.h>

#include "history.h"

#define KEPT_LEAST 512	/* several times what one source may have (init/event/quota.c) */

int history_init(struct history *history, size_t entries)
{
	struct history h = {0};
	int r = ring_init(&h.others, entries);

	if (r == 0)
		r = ring_init(&h.kept, entries / 2 < KEPT_LEAST ? KEPT_LEAST : entries / 2);
	if (r < 0) {
		ring_free(&h.others);
		return r;
	}
	*history = h;
	return 0;
}

uint64_t history_last(const struct history *history)
{
	return history->kept.last > history->others.last ? history->kept.last : history->others.last;
}

void history_add(struct history *history, const void *record, size_t size)
{
	struct event_head head;

	if (size < sizeof(head))
		return;
	memcpy(&head, record, sizeof(head));
	if (head.seq > history_last(history))
		ring_add(head.kept && history->kept.index ? &history->kept : &history->others, record, size);
}

size_t history_read(const struct history *history, uint64_t *seq, void *record)
{
	bool kept;

	if (*seq > history->kept.last)	/* readers that keep up: no second look-up */
		return ring_read(&history->others, seq, record);
	kept = ring_next(&history->kept, *seq) < ring_next(&history->others, *seq);
	return ring_read(kept ? &history->kept : &history->others, seq, record);
}

size_t history_read_back(const struct history *history, uint64_t *seq, void *record)
{
	bool kept = ring_before(&history->kept, *seq) > ring_before(&history->others, *seq);

	return ring_read_back(kept ? &history->kept : &history->others, seq, record);
}
