/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements quota.h. The shares are such that one service that fails, reloads and floods for ever, with everything
 * that PID 1 says about it, fills less than a third of the smallest ring of kept events at once, then three a minute.
 */
#include <stdio.h>
#include <string.h>

#include "quota.h"

#define SECOND_NS 1000000000LL

static struct quota rows[QUOTA_ROWS];
static uint64_t uses, evicted_drops;

static const struct bucket_limit shares[] = {
	[KEPT_STATE] = {.burst = 64, .every_ns = 60 * SECOND_NS},
	[KEPT_SAID] = {.burst = 48, .every_ns = 60 * SECOND_NS},
	[KEPT_REPORTED] = {.burst = 32, .every_ns = 60 * SECOND_NS},
};

/* What PID 1 says about the machine, and acts: they are many sources' in one. */
static const struct bucket_limit own_share = {.burst = 256, .every_ns = 10 * SECOND_NS};
static const char *const own[] = {"gantry", "system-api"};

struct quota *quota_of(const char *source)
{
	struct quota *oldest = &rows[0];

	for (size_t i = 0; i < QUOTA_ROWS; i++) {
		struct quota *q = &rows[i];

		if (strcmp(q->name, source) == 0) {
			q->used = ++uses;
			return q;
		}
		if (q->used < oldest->used)
			oldest = q;
	}
	evicted_drops += oldest->dropped + oldest->dropped_in_sum;
	oldest->dropped = oldest->dropped_in_sum = 0;
	oldest->used = ++uses;
	snprintf(oldest->name, sizeof(oldest->name), "%s", source);
	return oldest;
}

struct quota *quota_row(size_t nth)
{
	return &rows[nth];
}

uint64_t quota_evicted_drops(void)
{
	uint64_t n = evicted_drops;

	evicted_drops = 0;
	return n;
}

bool quota_keep(const char *source, enum quota_kept what, int64_t now_ns)
{
	const struct bucket_limit *share = &shares[what];

	for (size_t i = 0; what == KEPT_SAID && i < sizeof(own) / sizeof(own[0]); i++)
		if (strcmp(source, own[i]) == 0)
			share = &own_share;
	return bucket_take(&quota_of(source)->kept[what], share, now_ns);
}
