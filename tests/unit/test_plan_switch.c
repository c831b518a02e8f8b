/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan and services that the configuration switches on and off (enabled_if). Time is the test's own. */
/* links: plan init/lib */
#include <signal.h>

#include "test.h"
#include "plan_fixture.h"

static struct fixture *switched(void)
{
	struct fixture *f = make();

	add(f, "config", NODE_STAGE);
	needs(add(f, "svc", NODE_SERVICE), 0);
	needs(add(f, "helper", NODE_SERVICE), 1);
	begin(f);
	return f;
}

static void enable(struct fixture *f, bool on)
{
	plan_enable(&f->plan, 1, on, on ? "key is true" : "key is false");
	plan_enable(&f->plan, 2, on, on ? "key is true" : "key is false");
}

TEST(a_service_that_is_switched_off_before_it_starts_is_disabled_and_holds_nothing)
{
	struct fixture *f = switched();

	enable(f, false);
	ends(f, 0, 0);
	CHECK_INT(f->plan.nodes[1].state, NODE_DISABLED);
	CHECK_STR(f->plan.nodes[1].reason, "key is false");
	CHECK_INT(f->plan.nodes[2].state, NODE_DISABLED);
	CHECK_INT(f->started[1], 0);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	finish(f);
}

TEST(switched_on_it_starts_and_switched_off_it_stops)
{
	struct fixture *f = switched();

	enable(f, true);
	ends(f, 0, 0);
	CHECK_INT(f->started[1], 1);
	ready(f, 1);
	ready(f, 2);
	for (unsigned round = 1; round < 3; round++) {
		enable(f, false);
		turn(f);
		CHECK_INT(f->plan.nodes[1].state, NODE_STOPPING);
		CHECK_INT(f->last_signal[1], SIGTERM);
		ends(f, 2, 0);
		ends(f, 1, 0);
		CHECK_INT(f->plan.nodes[1].state, NODE_DISABLED);
		CHECK_STR(f->plan.nodes[1].reason, "key is false");
		f->last_signal[1] = 0;
		enable(f, true);
		turn(f);
		CHECK_INT(f->started[1], round + 1);
		ready(f, 1);
		ready(f, 2);
		CHECK_INT(f->plan.nodes[2].state, NODE_READY);
		CHECK_INT(f->plan.state, BOOT_BOOTED);
	}
	finish(f);
}

TEST(switched_on_again_while_it_still_stops_it_starts_again)
{
	struct fixture *f = switched();

	enable(f, true);
	ends(f, 0, 0);
	ready(f, 1);
	enable(f, false);
	turn(f);
	enable(f, true);
	ends(f, 1, 0);
	CHECK_INT(f->started[1], 2);
	finish(f);
}

TEST(what_was_stopped_by_hand_stays_stopped_whatever_the_switch_says)
{
	struct fixture *f = switched();

	enable(f, true);
	ends(f, 0, 0);
	ready(f, 1);
	CHECK_INT(plan_stop(&f->plan, 1, false, f->now), 0);
	turn(f);
	ends(f, 1, 0);
	CHECK_INT(f->plan.nodes[1].state, NODE_STOPPED);
	enable(f, false);
	turn(f);
	CHECK_INT(f->plan.nodes[1].state, NODE_STOPPED);
	enable(f, true);
	turn(f);
	CHECK_INT(f->plan.nodes[1].state, NODE_STOPPED);
	CHECK_INT(f->started[1], 1);
	finish(f);
}

TEST(what_was_started_by_hand_though_it_is_off_runs_until_it_is_switched_on_and_off)
{
	struct fixture *f = switched();

	enable(f, false);
	ends(f, 0, 0);
	CHECK_INT(plan_start(&f->plan, 1, f->now), 0);
	turn(f);
	CHECK_INT(f->started[1], 1);
	ready(f, 1);
	enable(f, false);
	turn(f);
	CHECK_INT(f->plan.nodes[1].state, NODE_READY);
	enable(f, true);
	turn(f);
	CHECK_INT(f->plan.nodes[1].state, NODE_READY);
	CHECK_INT(f->started[1], 1);
	enable(f, false);
	turn(f);
	CHECK_INT(f->plan.nodes[1].state, NODE_STOPPING);
	finish(f);
}

TEST(a_failed_service_that_is_switched_off_holds_the_boot_no_longer)
{
	struct fixture *f = switched();

	enable(f, true);
	ends(f, 0, 0);
	ends(f, 1, STAGE_NEVER);
	CHECK_INT(f->plan.state, BOOT_HELD);
	enable(f, false);
	turn(f);
	CHECK_INT(f->plan.nodes[1].state, NODE_DISABLED);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	finish(f);
}
