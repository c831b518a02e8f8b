/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A token bucket: a burst passes, then a steady rate. Pure: the caller passes the time and counts the refused tokens,
 * because each caller reports that in its own words.
 */
#ifndef INIT_LIB_BUCKET_H
#define INIT_LIB_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* Both count events. For a rate below one a second: per_s 0, and every_ns is the time between two. Both 0: no limit. */
struct bucket_limit {
	int64_t per_s, burst;
	int64_t every_ns;
};

/* Zeroed, it is full. */
struct bucket {
	int64_t full_ns;	/* when it will be full again */
};

/* Takes one token; false if there is none. now_ns: of a monotonic clock, the same one in all calls for a bucket. */
bool bucket_take(struct bucket *bucket, const struct bucket_limit *limit, int64_t now_ns);

/* The time from which on bucket_take() succeeds; now_ns: it does now. */
int64_t bucket_due(const struct bucket *bucket, const struct bucket_limit *limit, int64_t now_ns);

#endif
