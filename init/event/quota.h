/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One row for each source of events, with its token buckets: how much text it may send, how many of PID 1's own events
 * about it are kept, and how often drops are reported. The table is bounded: a new source evicts the one that was
 * silent longest and inherits its buckets, so many names gain nothing.
 */
#ifndef INIT_EVENT_QUOTA_H
#define INIT_EVENT_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/event.h>

#include "init/lib/bucket.h"

#define QUOTA_ROWS 128

/* Events that other events cannot evict from the ring, nor from the log, while their source is within its share. */
enum quota_kept {
	KEPT_STATE,	/* PID 1 reports the state of a node or of the boot */
	KEPT_SAID,	/* PID 1's own sentence about the source; an act; a count of drops */
	KEPT_REPORTED,	/* text of a stage or a role of Gantry's own */
	KEPT_MAX,
};

struct quota {
	char name[EVENT_SOURCE_MAX + 1];
	uint64_t used;			/* number of its last use: the row with the smallest one is evicted */
	struct bucket text, reports;
	struct bucket kept[KEPT_MAX];
	uint64_t dropped, dropped_in_sum;	/* not yet reported */
};

/* Never NULL; valid until the next call. */
struct quota *quota_of(const char *source);

/* The nth of QUOTA_ROWS rows. */
struct quota *quota_row(size_t nth);

/* Drops of evicted rows that were not reported, since the last call. */
uint64_t quota_evicted_drops(void);

/* Takes a token; true: the event is kept. now_ns: CLOCK_BOOTTIME. */
bool quota_keep(const char *source, enum quota_kept what, int64_t now_ns);

#endif
