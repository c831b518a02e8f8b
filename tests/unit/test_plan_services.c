/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan and its services: wants, following what is needed, restarts, watchdogs. Time is the test's own. */
/* links: init/plan.c init/plan-graph.c init/plan-input.c init/plan-node.c init/plan-text.c */
#include <errno.h>

#include "plan_fixture.h"

static struct config_node *service(struct fixture *f, const char *name)
{
	return add(f, name, NODE_SERVICE);
}

static struct config_node *follower(struct fixture *f, const char *name, size_t on)
{
	struct config_node *node = service(f, name);

	needs(node, on);
	node->follows_needs = true;
	return node;
}

static void wants(struct config_node *node, size_t on)
{
	node->wants[node->n_wants++] = (uint16_t)on;
}

static void manual(struct fixture *f, size_t node, bool start)
{
	CHECK_INT(start ? plan_start(&f->plan, node, f->now) : plan_stop(&f->plan, node, false, f->now), 0);
	turn(f);
}

/* ---- order -------------------------------------------------------------------------------------------------- */

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
	plan_exited(&f->plan, 1, &(struct plan_exit){.status = -1, .signal = SIGKILL}, f->now);
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

/* ---- readiness ---------------------------------------------------------------------------------------------- */

TEST(a_oneshot_service_is_done_at_status_0_and_tried_again_otherwise)
{
	struct fixture *f = make();

	service(f, "migrate")->ready = READY_EXIT;
	needs(service(f, "app"), 0);
	begin(f);
	ends(f, 0, 1);
	CHECK_INT(state(f, 0), NODE_RETRYING);
	wait_until_due(f);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_DONE);
	CHECK_INT(state(f, 1), NODE_RUNNING);
	finish(f);
}

TEST(a_service_that_ends_before_it_is_ready_has_failed_whatever_its_status)
{
	struct fixture *f = make();
	struct config_node *db = service(f, "db");

	db->ready = READY_NOTIFY;
	db->restart = RESTART_ON_FAILURE;
	needs(service(f, "app"), 0);
	begin(f);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_RETRYING);
	CHECK_STR(f->plan.nodes[0].reason, "ended before it was ready: exit status 0");
	CHECK_INT(state(f, 1), NODE_WAITING);
	finish(f);
}

/* ---- restart ------------------------------------------------------------------------------------------------ */

TEST(policies_by_how_it_ended)
{
	static const struct {
		enum restart_policy policy;
		int status;
		enum node_state expected;
	} table[] = {
		{RESTART_ALWAYS, 0, NODE_RETRYING},	{RESTART_ALWAYS, 1, NODE_RETRYING},
		{RESTART_ALWAYS, 125, NODE_FAILED},	{RESTART_ON_FAILURE, 0, NODE_DONE},
		{RESTART_ON_FAILURE, 1, NODE_RETRYING},	{RESTART_ON_FAILURE, -1, NODE_RETRYING},
		{RESTART_ON_FAILURE, 125, NODE_FAILED},	{RESTART_NEVER, 0, NODE_DONE},
		{RESTART_NEVER, 1, NODE_FAILED},	{RESTART_NEVER, -1, NODE_FAILED},
		{RESTART_NEVER, 125, NODE_FAILED},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct fixture *f = make();

		service(f, "a")->restart = table[i].policy;
		begin(f);
		ready(f, 0);
		plan_exited(&f->plan, 0, &(struct plan_exit){.status = table[i].status, .signal = SIGSEGV}, f->now);
		turn(f);
		CHECK_INT(state(f, 0), table[i].expected);
		finish(f);
	}
}

TEST(jitter_makes_a_wait_longer_by_up_to_its_fraction_and_is_the_same_for_one_seed)
{
	int64_t waits[2][50];
	bool differ = false;

	for (int run = 0; run < 2; run++) {
		struct fixture *f = make();

		service(f, "a")->retry_jitter_permille = 500;
		f->nodes[0].retry_max_ms = 1000;
		begin(f);
		plan_seed(&f->plan, 7);
		for (int i = 0; i < 50; i++) {
			int64_t then = f->now;

			ends(f, 0, 1);
			wait_until_due(f);
			waits[run][i] = f->now - then;
			CHECK(waits[run][i] >= S && waits[run][i] <= S + S / 2);
			differ |= waits[run][i] != waits[run][0];
		}
		finish(f);
	}
	CHECK(differ);
	CHECK(!memcmp(waits[0], waits[1], sizeof(waits[0])));
}

TEST(only_a_stable_time_resets_the_backoff)
{
	struct fixture *f = make();
	int64_t then;

	service(f, "a");
	begin(f);
	for (int i = 0; i < 3; i++) {
		ready(f, 0);
		f->now += 9 * S;
		ends(f, 0, 1);
		then = f->now;
		wait_until_due(f);
		CHECK_INT(f->now - then, S << i);
	}
	ready(f, 0);
	f->now += 10 * S;
	ends(f, 0, 1);
	then = f->now;
	wait_until_due(f);
	CHECK_INT(f->now - then, S);
	finish(f);
}

static struct fixture *bursting(bool fails)
{
	struct fixture *f = make();
	struct config_node *node = service(f, "a");

	node->retry_max_ms = 60000;
	node->stable_ms = 0;	/* so that the backoff stays at its beginning */
	node->burst = 3;
	node->burst_ms = 30000;
	node->burst_fails = fails;
	begin(f);
	return f;
}

static int64_t one_restart(struct fixture *f)
{
	int64_t then = f->now;

	ready(f, 0);
	ends(f, 0, 1);
	if (state(f, 0) != NODE_RETRYING)
		return -1;
	wait_until_due(f);
	return f->now - then;
}

TEST(a_burst_of_restarts_slows_down_and_is_forgotten_after_its_time)
{
	struct fixture *f = bursting(false);

	for (int i = 0; i < 3; i++)
		CHECK_INT(one_restart(f), S);
	CHECK_INT(one_restart(f), 60 * S);
	CHECK_INT(one_restart(f), S);
	finish(f);
}

TEST(a_long_reason_is_kept_whole_but_for_what_a_burst_adds)
{
	struct fixture *f = bursting(true);
	char why[NODE_REASON_MAX];

	memset(why, 'x', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	for (int i = 0; i < 4; i++) {
		ready(f, 0);
		plan_exited(&f->plan, 0, &(struct plan_exit){.status = 1, .reason = why}, f->now);
		turn(f);
		CHECK_INT(strlen(f->plan.nodes[0].reason), NODE_REASON_MAX - 1);
		if (i < 3)
			wait_until_due(f);
	}
	CHECK(strstr(f->plan.nodes[0].reason, "xxx; more than 3 restarts in 30 s"));
	finish(f);
}

TEST(a_burst_of_restarts_fails_for_good_if_it_is_configured_so)
{
	struct fixture *f = bursting(true);

	for (int i = 0; i < 3; i++)
		CHECK_INT(one_restart(f), S);
	CHECK_INT(one_restart(f), -1);
	CHECK_INT(state(f, 0), NODE_FAILED);
	CHECK(strstr(f->plan.nodes[0].reason, "more than 3 restarts in 30 s"));
	manual(f, 0, true);
	CHECK_INT(one_restart(f), S);
	finish(f);
}

TEST(a_start_by_hand_is_no_attempt_and_no_restart)
{
	struct fixture *f = bursting(true);

	for (int i = 0; i < 20; i++) {
		ready(f, 0);
		manual(f, 0, false);
		ends(f, 0, 1);
		manual(f, 0, true);
	}
	CHECK_INT(f->plan.nodes[0].attempts, 1);
	CHECK_INT(one_restart(f), S);
	finish(f);
}

/* ---- watchdog ----------------------------------------------------------------------------------------------- */

TEST(a_service_that_does_not_say_that_it_is_alive_is_stopped_and_has_failed)
{
	struct fixture *f = make();
	struct config_node *node = service(f, "db");

	node->alive_ms = 30000;
	node->restart = RESTART_ON_FAILURE;
	begin(f);
	f->now += 5 * S;
	ready(f, 0);
	for (int i = 0; i < 10; i++) {
		f->now += 29 * S;
		turn(f);
		plan_alive(&f->plan, 0, f->now);
		CHECK_INT(state(f, 0), NODE_READY);
	}
	while (state(f, 0) == NODE_READY)
		wait_until_due(f);
	CHECK_INT(f->now, S + 5 * S + 290 * S + 30 * S);
	CHECK_INT(state(f, 0), NODE_STOPPING);
	CHECK_INT(f->last_signal[0], SIGTERM);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_RETRYING);
	CHECK_STR(f->plan.nodes[0].reason, "watchdog: no keep-alive for 30 s");
	finish(f);
}

TEST(an_unhealthy_service_that_refuses_to_end_is_killed_after_its_grace)
{
	struct fixture *f = make();

	service(f, "db")->restart = RESTART_NEVER;
	begin(f);
	ready(f, 0);
	plan_unhealthy(&f->plan, 0, "watchdog: 3 probes failed", f->now);
	turn(f);
	CHECK_INT(f->last_signal[0], SIGTERM);
	wait_until_due(f);
	CHECK_INT(f->last_signal[0], SIGKILL);
	plan_exited(&f->plan, 0, &(struct plan_exit){.status = -1, .signal = SIGKILL}, f->now);
	turn(f);
	CHECK_INT(state(f, 0), NODE_FAILED);
	CHECK_STR(f->plan.nodes[0].reason, "watchdog: 3 probes failed");
	finish(f);
}

TEST(a_stop_by_hand_goes_before_the_watchdogs)
{
	struct fixture *f = make();

	service(f, "db");
	begin(f);
	ready(f, 0);
	plan_unhealthy(&f->plan, 0, "watchdog: 3 probes failed", f->now);
	turn(f);
	manual(f, 0, false);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_STOPPED);
	finish(f);
}

TEST(a_service_that_says_it_stops_has_its_grace_and_its_policy)
{
	struct fixture *f = make();

	service(f, "db")->restart = RESTART_ON_FAILURE;
	begin(f);
	ready(f, 0);
	plan_stopping(&f->plan, 0, f->now);
	turn(f);
	CHECK_INT(state(f, 0), NODE_STOPPING);
	CHECK_INT(f->last_signal[0], 0);
	CHECK_INT(plan_due_ns(&f->plan), f->now + 5 * S);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_DONE);
	finish(f);
}

/* ---- containers --------------------------------------------------------------------------------------------- */

static void later(struct fixture *f, int64_t ns)
{
	f->now += ns;
	turn(f);
}

TEST(a_container_has_its_ready_deadline_only_once_its_image_is_there)
{
	struct fixture *f = make();
	struct config_node *box = service(f, "box");

	box->ready = READY_TCP;
	box->ready_deadline_ms = 5000;
	box->prepare_ms = 100000;
	begin(f);
	CHECK_INT(plan_due_ns(&f->plan), f->now + 100 * S);
	later(f, 99 * S);
	CHECK_INT(f->last_signal[0], 0);
	plan_launched(&f->plan, 0, f->now);
	turn(f);
	CHECK_INT(plan_due_ns(&f->plan), f->now + 5 * S);
	later(f, 5 * S);
	CHECK_INT(f->last_signal[0], SIGTERM);
	ends(f, 0, 0);
	CHECK(strstr(f->plan.nodes[0].reason, "not ready after 5 s"));
	finish(f);
}

TEST(a_container_whose_launcher_hangs_is_ended)
{
	struct fixture *f = make();

	service(f, "box")->prepare_ms = 100000;
	begin(f);
	later(f, 100 * S);
	CHECK_INT(f->last_signal[0], SIGTERM);
	ends(f, 0, STAGE_NEVER);
	CHECK(strstr(f->plan.nodes[0].reason, "not started after 100 s"));
	CHECK_INT(state(f, 0), NODE_RETRYING);
	finish(f);
}

TEST(of_a_container_only_its_launcher_says_never_again)
{
	struct fixture *f = make();

	service(f, "podman")->prepare_ms = 100000;
	service(f, "launcher")->prepare_ms = 100000;
	begin(f);
	plan_launched(&f->plan, 0, f->now);
	ends(f, 0, STAGE_NEVER);
	ends(f, 1, STAGE_NEVER);
	CHECK_INT(state(f, 0), NODE_RETRYING);
	CHECK_INT(state(f, 1), NODE_FAILED);
	finish(f);
}
