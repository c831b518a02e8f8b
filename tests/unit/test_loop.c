/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop's account of itself: every turn is counted once, by how long it kept others waiting.
 */
/* links: init/lib */
#include <time.h>

#include "init/lib/loop.h"
#include "test.h"

static const int64_t bounds_ns[] = CONTROL_TURN_BOUNDS_NS;
static int64_t busy_ns, pause_ns;
static int turns_left;
static struct loop_timer timer;

static void work(struct loop_timer *t)
{
	int64_t until_ns = loop_now_ns() + busy_ns;

	while (loop_now_ns() < until_ns)
		;
	if (turns_left-- > 0)
		loop_arm(t, loop_now_ns() + pause_ns);
	else
		loop_stop();
}

static void run(int turns, int64_t ns)
{
	busy_ns = ns;
	turns_left = turns;
	timer.fire = work;
	loop_arm(&timer, loop_now_ns());
	loop_run(NULL);
}

TEST(each_turn_is_counted_once_in_the_bucket_of_its_length)
{
	const struct control_turns *turns = loop_turns();
	uint64_t in_all = 0;

	CHECK_INT(loop_init(), 0);
	run(5, 4000000);
	for (size_t i = 0; i < CONTROL_TURN_BUCKETS; i++) {
		in_all += turns->count[i];
		if (i < CONTROL_TURN_BUCKETS - 1 && bounds_ns[i] < busy_ns)
			CHECK_INT(turns->count[i], 0);
	}
	CHECK_INT(in_all, 5);
	CHECK(turns->sum_ns >= 5 * 4000000);
	CHECK(turns->max_ns >= 4000000 && turns->max_ns <= turns->sum_ns);
}

TEST(a_turn_longer_than_every_bound_is_in_the_last_bucket)
{
	CHECK_INT(loop_init(), 0);
	run(1, 101000000);
	CHECK_INT(loop_turns()->count[CONTROL_TURN_BUCKETS - 1], 1);
}

TEST(waiting_is_not_counted)
{
	CHECK_INT(loop_init(), 0);
	pause_ns = 200000000;
	run(3, 0);
	CHECK(loop_turns()->sum_ns < 200000000);
	CHECK_INT(loop_turns()->count[CONTROL_TURN_BUCKETS - 1], 0);
}
