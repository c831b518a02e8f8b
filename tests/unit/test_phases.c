/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way down with a clock of the test's own: in which order, how long each phase may take, and that it always ends. */
/* links: plan init/lib */
#include <stdlib.h>
#include <string.h>

#include "init/plan/phases.h"
#include "test.h"

#define S 1000000000LL
#define MS 1000000LL

/* Lets the time of the phase pass. */
static enum phase_turn overrun(struct phases *p, int64_t *now)
{
	int64_t due = phases_due_ns(p);

	CHECK(due >= *now);
	CHECK_INT(phases_step(p, false, due - 1 > *now ? due - 1 : *now), due - 1 >= *now ? PHASE_STAYS : PHASE_ENTERED);
	*now = due;
	return phases_step(p, false, *now);
}

TEST(each_phase_follows_as_soon_as_the_one_before_has_what_it_waits_for)
{
	struct phases p;

	phases_begin(&p, 60 * S, 5 * S);
	for (enum phase i = PHASE_NODES; i < PHASE_DISKS; i++) {
		CHECK_INT(p.phase, i);
		CHECK_INT(phases_step(&p, false, 5 * S), PHASE_STAYS);
		CHECK_INT(phases_step(&p, true, 5 * S), PHASE_ENTERED);
	}
	CHECK_INT(p.phase, PHASE_DISKS);
	CHECK_INT(phases_step(&p, true, 6 * S), PHASE_ENTERED);
	CHECK_INT(p.phase, PHASE_END);	/* with nothing wrong there is no emergency */
	CHECK_INT(p.took_ns[PHASE_DISKS], S);
	CHECK_INT(phases_due_ns(&p), 0);
	CHECK_INT(phases_step(&p, true, 7 * S), PHASE_STAYS);
}

TEST(services_have_all_that_the_rest_does_not_need)
{
	struct phases p;

	phases_begin(&p, 330 * S, 0);
	CHECK_INT(phases_due_ns(&p), 300 * S);
	CHECK_INT(phases_nodes_ms(330000), 300000);
	CHECK_INT(phases_nodes_ms(30000), 15000);
	CHECK_INT(phases_nodes_ms(1000), 500);
}

TEST(services_that_do_not_end_are_killed_and_then_left_behind)
{
	struct phases p;
	int64_t now = 0;

	phases_begin(&p, 100 * S, now);
	CHECK_INT(overrun(&p, &now), PHASE_FORCE);
	CHECK_INT(now, 70 * S);
	CHECK_INT(p.phase, PHASE_NODES);
	CHECK_INT(overrun(&p, &now), PHASE_ENTERED);
	CHECK_INT(p.phase, PHASE_API);
	CHECK(p.overran[PHASE_NODES]);
}

TEST(disks_have_all_the_time_that_is_left)
{
	struct phases p;

	phases_begin(&p, 400 * S, 0);
	while (p.phase != PHASE_DISKS)
		phases_step(&p, true, S);
	CHECK_INT(phases_due_ns(&p), 400 * S - 1500 * MS);
}

TEST(a_disk_that_hangs_is_followed_by_the_emergency_and_the_end)
{
	struct phases p;
	int64_t now = S;

	phases_begin(&p, 60 * S, 0);
	while (p.phase != PHASE_DISKS)
		phases_step(&p, true, now);
	CHECK_INT(overrun(&p, &now), PHASE_ENTERED);
	CHECK_INT(p.phase, PHASE_EMERGENCY);
	CHECK(p.overran[PHASE_DISKS]);
	CHECK_INT(overrun(&p, &now), PHASE_ENTERED);
	CHECK_INT(p.phase, PHASE_END);
	CHECK(now <= 60 * S);
}

TEST(a_clock_that_was_away_goes_to_the_emergency_at_once)
{
	struct phases p;

	phases_begin(&p, 60 * S, 0);
	CHECK_INT(phases_step(&p, false, 1000 * S), PHASE_ENTERED);
	CHECK_INT(p.phase, PHASE_EMERGENCY);
	CHECK_INT(phases_due_ns(&p), 1001 * S);
	CHECK_INT(phases_step(&p, false, 1001 * S), PHASE_ENTERED);
	CHECK_INT(p.phase, PHASE_END);
}

/* Whatever completes or does not, whenever it is asked: the end comes, in order, within the whole. */
TEST(random_walks_end_within_the_whole)
{
	unsigned seed = 20261126;

	for (int walk = 0; walk < 20000; walk++) {
		int64_t whole = (1 + rand_r(&seed) % 1000) * S, now = S, begin = now;
		enum phase last = PHASE_NODES;
		bool forced = false;
		struct phases p;

		phases_begin(&p, whole, now);
		for (int i = 0; p.phase != PHASE_END; i++) {
			int64_t due = phases_due_ns(&p);
			enum phase_turn turn;

			CHECK(i < 1000);
			CHECK(due > 0);
			if (rand_r(&seed) % 3 && now < due)	/* nothing but its time wakes PID 1 */
				now = due;
			else if (rand_r(&seed) % 2 && now < due)
				now += (due - now) / 2;
			turn = phases_step(&p, rand_r(&seed) % 4 == 0, now);
			CHECK(turn != PHASE_FORCE || (!forced && p.phase == PHASE_NODES));
			forced |= turn == PHASE_FORCE;
			CHECK(turn != PHASE_ENTERED || p.phase > last);
			CHECK(turn == PHASE_ENTERED || p.phase == last);
			last = p.phase;
		}
		CHECK(now - begin <= whole);
	}
}
