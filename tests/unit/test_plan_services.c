/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan and its services: readiness, restarts, watchdogs, containers. Time is the test's own. */
/* links: plan init/lib */
#include <errno.h>

#include "plan_fixture.h"

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
	CHECK_STR(f->plan.nodes[0].reason, "exited before it was ready: exit status 0");
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
		plan_ended(&f->plan, 0, &(struct process_exit){.status = table[i].status, .signal = SIGSEGV}, f->now);
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
		plan_ended(&f->plan, 0, &(struct process_exit){.status = 1, .reason = why}, f->now);
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
	plan_ended(&f->plan, 0, &(struct process_exit){.status = -1, .signal = SIGKILL}, f->now);
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
