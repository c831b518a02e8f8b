/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan on the way down: who is stopped when, and who is killed. Time is the test's own. */
/* links: plan init/lib */
#include <errno.h>
#include <signal.h>

#include "test.h"
#include "plan_fixture.h"

TEST(a_shutdown_stops_dependents_first)
{
	struct fixture *f = make();

	add(f, "net", NODE_SERVICE);
	needs(add(f, "stage", NODE_STAGE), 0);
	needs(add(f, "db", NODE_SERVICE), 1);
	needs(add(f, "app", NODE_SERVICE), 2);
	begin(f);
	ready(f, 0);
	ends(f, 1, 0);
	ready(f, 2);
	ready(f, 3);
	plan_shutdown(&f->plan, f->now);
	turn(f);
	CHECK_INT(f->last_signal[3], SIGTERM);
	CHECK_INT(f->last_signal[2], 0);
	ends(f, 3, 0);
	CHECK_INT(f->last_signal[2], SIGTERM);
	CHECK_INT(f->last_signal[0], 0);
	CHECK(!f->down);
	ends(f, 2, 0);
	CHECK_INT(f->last_signal[0], SIGTERM);
	ends(f, 0, 0);
	CHECK(f->down);
	finish(f);
}

TEST(a_service_that_ignores_its_stop_signal_is_killed_after_its_grace)
{
	struct fixture *f = make();
	int64_t then;

	add(f, "db", NODE_SERVICE)->stop_signal = SIGINT;
	begin(f);
	ready(f, 0);
	then = f->now;
	plan_shutdown(&f->plan, f->now);
	turn(f);
	CHECK_INT(f->last_signal[0], SIGINT);
	wait_until_due(f);
	CHECK_INT(f->now - then, 5 * S);
	CHECK_INT(f->last_signal[0], SIGKILL);
	finish(f);
}

TEST(a_hurried_shutdown_kills_at_once)
{
	struct fixture *f = make();

	add(f, "a", NODE_SERVICE);
	begin(f);
	plan_shutdown(&f->plan, f->now);
	turn(f);
	plan_hurry(&f->plan, 0, f->now);
	turn(f);
	CHECK_INT(f->last_signal[0], SIGKILL);
	finish(f);
}

TEST(a_hurried_shutdown_may_leave_a_shorter_grace_and_never_a_longer_one)
{
	struct fixture *f = make();
	int64_t then;

	add(f, "short", NODE_SERVICE)->stop_grace_ms = 1000;
	needs(add(f, "long", NODE_SERVICE), 0);
	f->nodes[1].stop_grace_ms = 600000;
	begin(f);
	ready(f, 0);
	ready(f, 1);
	plan_shutdown(&f->plan, f->now);
	turn(f);
	then = f->now;
	plan_hurry(&f->plan, 3 * S, f->now);
	turn(f);
	CHECK_INT(f->last_signal[1], SIGTERM);
	wait_until_due(f);
	CHECK_INT(f->now - then, 3 * S);
	CHECK_INT(f->last_signal[1], SIGKILL);
	ends(f, 1, -1);
	then = f->now;
	CHECK_INT(f->last_signal[0], SIGTERM);
	wait_until_due(f);
	CHECK_INT(f->now - then, S);
	CHECK_INT(f->last_signal[0], SIGKILL);
	finish(f);
}

TEST(a_shutdown_goes_on_without_a_process_that_not_even_a_kill_ends)
{
	struct fixture *f = make();
	int64_t killed;

	add(f, "disk", NODE_SERVICE);
	needs(add(f, "stuck", NODE_SERVICE), 0);
	begin(f);
	ready(f, 0);
	ready(f, 1);
	plan_shutdown(&f->plan, f->now);
	turn(f);
	wait_until_due(f);
	CHECK_INT(f->last_signal[1], SIGKILL);
	killed = f->now;
	CHECK_INT(f->last_signal[0], 0);
	wait_until_due(f);
	CHECK_INT(f->now - killed, 2 * S);
	CHECK_INT(f->last_signal[0], SIGTERM);
	ends(f, 0, 0);
	CHECK(f->down);
	ends(f, 1, -1);		/* late, and harmless */
	finish(f);
}

TEST(nothing_starts_during_a_shutdown)
{
	struct fixture *f = make();

	add(f, "a", NODE_STAGE);
	needs(add(f, "b", NODE_STAGE), 0);
	begin(f);
	plan_shutdown(&f->plan, f->now);
	turn(f);
	ends(f, 0, 0);
	CHECK_INT(f->started[1], 0);
	CHECK_INT(plan_start(&f->plan, 1, f->now), -ESHUTDOWN);
	CHECK(f->down);
	finish(f);
}
