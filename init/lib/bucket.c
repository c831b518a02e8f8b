/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generic cell rate algorithm (ITU-T I.371): a bucket is one time, so nothing needs to refill it. Each token moves
 * that time one interval on, and it may lie at most the whole burst ahead.
 */
#include "bucket.h"

#define SECOND_NS 1000000000LL

static int64_t token_of(const struct bucket_limit *limit)
{
	return limit->per_s > 0 ? SECOND_NS / limit->per_s : limit->every_ns;
}

bool bucket_take(struct bucket *bucket, const struct bucket_limit *limit, int64_t now_ns)
{
	int64_t token_ns = token_of(limit);
	int64_t full_ns = (bucket->full_ns > now_ns ? bucket->full_ns : now_ns) + token_ns;

	if (token_ns == 0)
		return true;
	if (full_ns - now_ns > token_ns * limit->burst)
		return false;
	bucket->full_ns = full_ns;
	return true;
}

int64_t bucket_due(const struct bucket *bucket, const struct bucket_limit *limit, int64_t now_ns)
{
	int64_t due_ns = bucket->full_ns - token_of(limit) * (limit->burst - 1);

	return due_ns > now_ns ? due_ns : now_ns;
}
