/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The token bucket, with a clock of our own. */
/* links: init/lib */
#include "init/lib/bucket.h"
#include "test.h"

#define SECOND 1000000000LL

static const struct bucket_limit limit = {.per_s = 10, .burst = 50};

/* How many of n get a token at this moment. */
static int taken(struct bucket *bucket, const struct bucket_limit *by, int n, int64_t now_ns)
{
	int good = 0;

	for (int i = 0; i < n; i++)
		good += bucket_take(bucket, by, now_ns);
	return good;
}

TEST(without_a_rate_there_is_no_limit)
{
	struct bucket bucket = {0};

	CHECK_INT(taken(&bucket, &(struct bucket_limit){.burst = 1}, 100000, SECOND), 100000);
	CHECK_INT(taken(&bucket, &limit, 1000, SECOND), 50);	/* and nothing was taken from it */
}

TEST(a_zeroed_bucket_is_full_at_any_time)
{
	for (int64_t now_ns = 0; now_ns < INT64_MAX / 4; now_ns = 2 * now_ns + 1)
		CHECK_INT(taken(&(struct bucket){0}, &limit, 1000, now_ns), 50);
}

TEST(the_burst_passes_then_the_rate_and_never_more_than_the_burst_at_once)
{
	struct bucket bucket = {0};

	CHECK_INT(taken(&bucket, &limit, 1000, 5 * SECOND), 50);
	CHECK_INT(taken(&bucket, &limit, 1000, 5 * SECOND + SECOND / 10 - 1), 0);
	CHECK_INT(taken(&bucket, &limit, 1000, 5 * SECOND + SECOND / 10), 1);
	CHECK_INT(taken(&bucket, &limit, 1000, 7 * SECOND), 19);
	CHECK_INT(taken(&bucket, &limit, 1000, 1000 * SECOND), 50);
}

TEST(a_steady_rate_within_the_limit_always_passes)
{
	const struct bucket_limit steady = {.per_s = 1000, .burst = 1};
	struct bucket bucket = {0};

	for (int i = 0; i < 10000; i++)
		CHECK_INT(taken(&bucket, &steady, 1, i * (SECOND / 1000)), 1);
}

TEST(without_a_burst_nothing_passes)
{
	struct bucket bucket = {0};

	CHECK_INT(taken(&bucket, &(struct bucket_limit){.per_s = 10}, 100, SECOND), 0);
}

TEST(a_slow_rate_is_a_time_between_two)
{
	static const struct bucket_limit slow = {.burst = 3, .every_ns = 60 * SECOND};
	struct bucket bucket = {0};

	CHECK_INT(bucket_due(&bucket, &slow, SECOND), SECOND);
	CHECK_INT(taken(&bucket, &slow, 10, SECOND), 3);
	CHECK_INT(bucket_due(&bucket, &slow, SECOND), 61 * SECOND);
	CHECK_INT(taken(&bucket, &slow, 10, 61 * SECOND - 1), 0);
	CHECK_INT(taken(&bucket, &slow, 10, 61 * SECOND), 1);
	CHECK_INT(taken(&bucket, &slow, 10, 1000 * SECOND), 3);
}
