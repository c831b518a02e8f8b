/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan and the order of its services: wants, starts by hand, and following what is needed. Time is the test's own. */
/* links: plan init/lib */
#include "plan_fixture.h"

TEST(wanted_is_started_and_waited_for_but_its_failure_does_not_block)
{
	struct fixture *f = make();

	service(f, "cache")->enabled = false;
	wants(service(f, "app"), 0);
	begin(f);
	CHECK_INT(state(f, 0), NODE_RUNNING);
	CHECK_INT(state(f, 1), NODE_WAITING);
	ends(f, 0, STAGE_NEVER);
	CHECK_INT(state(f, 0), NODE_FAILED);
	CHECK_INT(state(f, 1), NODE_RUNNING);
	finish(f);
}

TEST(what_a_wanted_service_needs_starts_with_it)
{
	struct fixture *f = make();
	struct config_node *cache;

	service(f, "store")->enabled = false;
	cache = service(f, "cache");
	cache->enabled = false;
	needs(cache, 0);
	wants(service(f, "app"), 1);
	begin(f);
	CHECK_INT(state(f, 0), NODE_RUNNING);
	ready(f, 0);
	ready(f, 1);
	CHECK_INT(state(f, 2), NODE_RUNNING);
	finish(f);
}

TEST(a_start_by_hand_starts_what_is_needed_and_wanted_and_was_stopped_or_is_disabled)
{
	struct fixture *f = make();
	struct config_node *app, *db;

	service(f, "net");
	db = service(f, "db");
	db->enabled = false;
	needs(db, 0);
	service(f, "cache")->enabled = false;
	app = service(f, "app");
	app->enabled = false;
	needs(app, 1);
	wants(app, 2);
	begin(f);
	ready(f, 0);
	manual(f, 0, false);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_STOPPED);
	manual(f, 3, true);
	CHECK_INT(state(f, 0), NODE_RUNNING);
	CHECK_INT(state(f, 1), NODE_WAITING);
	CHECK_INT(state(f, 2), NODE_RUNNING);
	ready(f, 0);
	ready(f, 1);
	CHECK_INT(state(f, 3), NODE_WAITING);
	ready(f, 2);
	CHECK_INT(state(f, 3), NODE_RUNNING);
	finish(f);
}

TEST(a_start_by_hand_does_not_revive_what_failed_for_good)
{
	struct fixture *f = make();

	service(f, "db");
	needs(service(f, "app"), 0);
	begin(f);
	ends(f, 0, STAGE_NEVER);
	CHECK_INT(state(f, 1), NODE_BLOCKED);
	manual(f, 1, true);
	CHECK_INT(state(f, 0), NODE_FAILED);
	CHECK_INT(state(f, 1), NODE_BLOCKED);
	CHECK_INT(f->started[0], 1);
	finish(f);
}

TEST(an_automatic_restart_does_not_revive_what_somebody_stopped)
{
	struct fixture *f = make();
	struct config_node *app;

	service(f, "cache");
	app = service(f, "app");
	wants(app, 0);
	begin(f);
	ready(f, 0);
	ready(f, 1);
	manual(f, 0, false);
	ends(f, 0, 0);
	ends(f, 1, 1);
	wait_until_due(f);
	CHECK_INT(state(f, 1), NODE_RUNNING);
	CHECK_INT(state(f, 0), NODE_STOPPED);
	CHECK_INT(f->started[0], 1);
	finish(f);
}

TEST(followers_stop_before_what_they_need_and_come_back_after_it)
{
	struct fixture *f = make();

	service(f, "db");
	follower(f, "app", 0);
	follower(f, "proxy", 1);
	needs(service(f, "other"), 0);
	begin(f);
	for (size_t i = 0; i < 3; i++)
		ready(f, i);
	ready(f, 3);
	manual(f, 0, false);
	CHECK_INT(state(f, 0), NODE_STOPPING);
	CHECK_INT(f->last_signal[2], SIGTERM);
	CHECK_INT(f->last_signal[1], 0);
	CHECK_INT(f->last_signal[0], 0);
	ends(f, 2, 0);
	CHECK_INT(f->last_signal[1], SIGTERM);
	CHECK_INT(f->last_signal[0], 0);
	ends(f, 1, 0);
	CHECK_INT(f->last_signal[0], SIGTERM);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_STOPPED);
	CHECK_INT(state(f, 1), NODE_WAITING);
	CHECK_INT(state(f, 2), NODE_WAITING);
	CHECK_INT(state(f, 3), NODE_READY);
	CHECK_INT(plan_due_ns(&f->plan), 0);
	manual(f, 0, true);
	CHECK_INT(f->started[1], 1);
	ready(f, 0);
	CHECK_INT(state(f, 1), NODE_RUNNING);
	ready(f, 1);
	CHECK_INT(state(f, 2), NODE_RUNNING);
	CHECK_INT(f->started[3], 1);
	finish(f);
}

TEST(a_follower_is_stopped_when_what_it_needs_crashes)
{
	struct fixture *f = make();

	service(f, "db");
	follower(f, "app", 0);
	begin(f);
	ready(f, 0);
	ready(f, 1);
	ends(f, 0, 1);
	CHECK_INT(state(f, 0), NODE_RETRYING);
	CHECK_INT(state(f, 1), NODE_STOPPING);
	CHECK_INT(f->last_signal[1], SIGTERM);
	ends(f, 1, 0);
	CHECK_INT(state(f, 1), NODE_WAITING);
	wait_until_due(f);
	ready(f, 0);
	CHECK_INT(state(f, 1), NODE_RUNNING);
	CHECK_INT(f->plan.nodes[1].attempts, 1);
	finish(f);
}

TEST(a_follower_of_what_failed_for_good_is_blocked)
{
	struct fixture *f = make();

	service(f, "db");
	follower(f, "app", 0);
	begin(f);
	ready(f, 0);
	ready(f, 1);
	ends(f, 0, STAGE_NEVER);
	ends(f, 1, 0);
	CHECK_INT(state(f, 1), NODE_BLOCKED);
	manual(f, 0, true);
	CHECK_INT(state(f, 1), NODE_WAITING);
	finish(f);
}

TEST(a_follower_that_is_stopped_by_hand_stays_stopped)
{
	struct fixture *f = make();

	service(f, "db");
	follower(f, "app", 0);
	begin(f);
	ready(f, 0);
	ready(f, 1);
	ends(f, 0, 1);
	CHECK_INT(state(f, 1), NODE_STOPPING);
	manual(f, 1, false);
	ends(f, 1, 0);
	wait_until_due(f);
	ready(f, 0);
	CHECK_INT(state(f, 1), NODE_STOPPED);
	finish(f);
}

TEST(a_crashed_follower_waits_for_what_it_needs)
{
	struct fixture *f = make();

	service(f, "db")->retry_min_ms = 5000;
	follower(f, "app", 0);
	begin(f);
	ready(f, 0);
	ready(f, 1);
	ends(f, 1, 1);
	CHECK_INT(state(f, 1), NODE_RETRYING);
	ends(f, 0, 1);
	wait_until_due(f);
	CHECK_INT(state(f, 1), NODE_WAITING);
	wait_until_due(f);
	CHECK_INT(state(f, 0), NODE_RUNNING);
	ready(f, 0);
	CHECK_INT(state(f, 1), NODE_RUNNING);
	finish(f);
}

TEST(a_restart_takes_the_followers_along)
{
	struct fixture *f = make();

	service(f, "db");
	follower(f, "app", 0);
	begin(f);
	ready(f, 0);
	ready(f, 1);
	CHECK_INT(plan_stop(&f->plan, 0, true, f->now), 0);
	turn(f);
	CHECK_INT(f->last_signal[0], 0);
	ends(f, 1, 0);
	CHECK_INT(f->last_signal[0], SIGTERM);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_RUNNING);
	CHECK_INT(state(f, 1), NODE_WAITING);
	ready(f, 0);
	CHECK_INT(state(f, 1), NODE_RUNNING);
	finish(f);
}

TEST(a_follower_that_refuses_to_end_delays_what_it_needs_by_its_grace_only)
{
	struct fixture *f = make();

	service(f, "db");
	follower(f, "app", 0);
	begin(f);
	ready(f, 0);
	ready(f, 1);
	manual(f, 0, false);
	wait_until_due(f);
	CHECK_INT(f->last_signal[1], SIGKILL);
	plan_ended(&f->plan, 1, &(struct process_exit){.status = -1, .signal = SIGKILL}, f->now);
	turn(f);
	CHECK_INT(f->last_signal[0], SIGTERM);
	finish(f);
}

TEST(a_shutdown_amid_a_stop_still_asks_before_it_kills)
{
	struct fixture *f = make();

	service(f, "db");
	follower(f, "app", 0);
	begin(f);
	ready(f, 0);
	ready(f, 1);
	manual(f, 0, false);
	plan_shutdown(&f->plan, f->now);
	turn(f);
	CHECK_INT(f->last_signal[0], 0);
	ends(f, 1, 0);
	CHECK_INT(f->last_signal[0], SIGTERM);
	ends(f, 0, 0);
	CHECK(f->down);
	finish(f);
}
