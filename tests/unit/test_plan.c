/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan with a clock of the test's own and no process: what is started when, what a failure does, how the boot is
 * judged; and random walks through all of it.
 */
/* links: plan init/lib */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "plan_fixture.h"

TEST(stages_without_needs_start_together)
{
	struct fixture *f = make();

	add(f, "a", NODE_STAGE);
	add(f, "b", NODE_STAGE);
	begin(f);
	CHECK_INT(f->started[0], 1);
	CHECK_INT(f->started[1], 1);
	finish(f);
}

TEST(a_stage_waits_for_all_it_needs)
{
	struct fixture *f = make();
	struct config_node *c;

	add(f, "a", NODE_STAGE);
	add(f, "b", NODE_STAGE);
	c = add(f, "c", NODE_STAGE);
	needs(c, 0);
	needs(c, 1);
	begin(f);
	ends(f, 0, 0);
	CHECK_INT(f->started[2], 0);
	ends(f, 1, 0);
	CHECK_INT(f->started[2], 1);
	CHECK_INT(f->plan.state, BOOT_BOOTING);
	ends(f, 2, 0);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	finish(f);
}

TEST(a_service_counts_only_once_it_is_ready)
{
	struct fixture *f = make();

	add(f, "db", NODE_SERVICE);
	needs(add(f, "app", NODE_SERVICE), 0);
	begin(f);
	CHECK_INT(f->started[1], 0);
	ready(f, 0);
	CHECK_INT(f->started[1], 1);
	CHECK_INT(f->plan.state, BOOT_BOOTING);
	ready(f, 1);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	finish(f);
}

TEST(retries_back_off_up_to_the_cap_and_the_limit_fails_the_stage)
{
	struct fixture *f = make();
	static const int64_t expected[] = {1 * S, 2 * S, 4 * S, 8 * S, 8 * S};

	add(f, "a", NODE_STAGE)->retry_limit = 6;
	begin(f);
	for (size_t i = 0; i < 5; i++) {
		int64_t then = f->now;

		ends(f, 0, STAGE_AGAIN);
		CHECK_INT(state(f, 0), NODE_RETRYING);
		wait_until_due(f);
		CHECK_INT(f->now - then, expected[i]);
		CHECK_INT(state(f, 0), NODE_RUNNING);
	}
	ends(f, 0, STAGE_AGAIN);
	CHECK_INT(state(f, 0), NODE_FAILED);
	CHECK_INT(f->plan.state, BOOT_HELD);
	finish(f);
}

TEST(a_stage_without_limit_is_retried_for_ever)
{
	struct fixture *f = make();

	add(f, "config", NODE_STAGE)->retry_limit = 0;
	begin(f);
	for (int i = 0; i < 1000; i++) {
		ends(f, 0, STAGE_AGAIN);
		wait_until_due(f);
	}
	CHECK_INT(f->started[0], 1001);
	CHECK_INT(f->plan.state, BOOT_BOOTING);
	finish(f);
}

TEST(never_again_fails_at_once_and_blocks_what_needs_it)
{
	struct fixture *f = make();

	add(f, "disk", NODE_STAGE);
	needs(add(f, "snapshot", NODE_STAGE), 0);
	needs(add(f, "reth", NODE_SERVICE), 1);
	add(f, "other", NODE_STAGE);
	begin(f);
	ends(f, 0, STAGE_NEVER);
	CHECK_INT(state(f, 0), NODE_FAILED);
	CHECK_INT(state(f, 1), NODE_BLOCKED);
	CHECK_INT(state(f, 2), NODE_BLOCKED);
	CHECK_INT(state(f, 3), NODE_RUNNING);
	CHECK_INT(f->plan.state, BOOT_HELD);
	CHECK(strstr(f->plan.reason, "disk: ") == f->plan.reason);
	finish(f);
}

TEST(an_optional_failure_does_not_hold_the_boot)
{
	struct fixture *f = make();

	add(f, "azure", NODE_STAGE)->required = false;
	add(f, "disk", NODE_STAGE);
	begin(f);
	ends(f, 0, STAGE_NEVER);
	ends(f, 1, 0);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	finish(f);
}

TEST(after_waits_for_the_end_but_not_for_success)
{
	struct fixture *f = make();
	struct config_node *b;

	add(f, "a", NODE_STAGE)->required = false;
	b = add(f, "b", NODE_STAGE);
	b->after[b->n_after++] = 0;
	begin(f);
	CHECK_INT(f->started[1], 0);
	ends(f, 0, STAGE_NEVER);
	CHECK_INT(f->started[1], 1);
	finish(f);
}

TEST(a_passed_deadline_terms_then_kills_then_retries)
{
	struct fixture *f = make();

	add(f, "a", NODE_STAGE);
	begin(f);
	wait_until_due(f);
	CHECK_INT(f->now, S + 10 * S);
	CHECK_INT(f->last_signal[0], SIGTERM);
	wait_until_due(f);
	CHECK_INT(f->last_signal[0], SIGKILL);
	CHECK_INT(state(f, 0), NODE_RUNNING);
	plan_ended(&f->plan, 0, &(struct process_exit){.status = -1, .signal = SIGKILL}, f->now);
	turn(f);
	CHECK_INT(state(f, 0), NODE_RETRYING);
	CHECK(strstr(f->plan.nodes[0].reason, "deadline passed after 10 s"));
	finish(f);
}

TEST(a_stage_that_ends_well_although_its_deadline_passed_is_not_done)
{
	struct fixture *f = make();

	add(f, "a", NODE_STAGE)->retry_limit = 1;
	begin(f);
	wait_until_due(f);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_FAILED);
	finish(f);
}

TEST(a_skipped_stage_satisfies_what_needs_it)
{
	struct fixture *f = make();

	add(f, "snapshot", NODE_STAGE);
	needs(add(f, "reth", NODE_SERVICE), 0);
	begin(f);
	plan_ended(&f->plan, 0, &(struct process_exit){.status = 0, .skipped = true}, f->now);
	turn(f);
	CHECK_INT(state(f, 0), NODE_SKIPPED);
	CHECK_INT(f->started[1], 1);
	finish(f);
}

TEST(a_held_stage_runs_only_once_the_boot_is_held)
{
	struct fixture *f = make();

	add(f, "tell", NODE_STAGE)->when = WHEN_HELD;
	add(f, "disk", NODE_STAGE);
	begin(f);
	CHECK_INT(f->started[0], 0);
	ends(f, 1, STAGE_NEVER);
	CHECK_INT(f->started[0], 1);
	ends(f, 0, STAGE_NEVER);
	CHECK(strstr(f->plan.reason, "disk") != NULL);
	finish(f);
}

static const struct stage teller = {.type = "teller", .tells = true};

/* `ready` reports at the boot, `not_ready` when it is held; `disk` is why. */
enum {READY, NOT_READY, DISK};

static struct fixture *told(void)
{
	struct fixture *f = make();

	add(f, "ready", NODE_STAGE)->stage = &teller;
	add(f, "not-ready", NODE_STAGE)->when = WHEN_HELD;
	f->nodes[NOT_READY].stage = &teller;
	f->nodes[READY].required = f->nodes[NOT_READY].required = false;
	add(f, "disk", NODE_STAGE);
	begin(f);
	return f;
}

TEST(who_heard_that_the_boot_is_held_hears_of_its_recovery_and_of_the_next_hold)
{
	struct fixture *f = told();

	ends(f, READY, 0);
	for (unsigned hold = 1; hold < 3; hold++) {
		ends(f, DISK, STAGE_NEVER);
		CHECK_INT(f->started[NOT_READY], hold);
		CHECK_INT(f->started[READY], hold);
		ends(f, NOT_READY, 0);
		CHECK_INT(f->started[READY], hold);
		manual(f, DISK, true);
		CHECK_INT(f->plan.state, BOOT_BOOTING);
		CHECK_INT(f->started[READY], hold);
		ends(f, DISK, 0);
		CHECK_INT(f->plan.state, BOOT_BOOTED);
		CHECK_INT(f->started[READY], hold + 1);
		ends(f, READY, 0);
		CHECK_INT(f->plan.state, BOOT_BOOTED);
		manual(f, DISK, true);
	}
	CHECK_INT(f->started[NOT_READY], 2);
	finish(f);
}

TEST(the_latest_report_is_true_however_long_one_takes)
{
	struct fixture *f = told();

	/* Ready is on its way when the boot is held: one after the other. */
	ends(f, DISK, STAGE_NEVER);
	CHECK_INT(f->started[NOT_READY], 0);
	ends(f, READY, STAGE_AGAIN);
	CHECK_INT(f->started[NOT_READY], 1);
	wait_until_due(f);
	CHECK_INT(f->started[READY], 1);
	ends(f, NOT_READY, 0);
	CHECK_INT(f->started[READY], 2);
	ends(f, READY, 0);
	CHECK_INT(f->started[NOT_READY], 2);	/* since Ready came behind it */
	/* It still tries when the boot has recovered. */
	manual(f, DISK, true);
	ends(f, DISK, 0);
	CHECK_INT(f->last_signal[NOT_READY], SIGTERM);
	CHECK_INT(f->started[READY], 2);
	ends(f, NOT_READY, 0);
	CHECK_INT(f->started[READY], 3);
	CHECK_INT(f->started[NOT_READY], 2);
	ends(f, READY, 0);
	CHECK_INT(plan_due_ns(&f->plan), 0);
	finish(f);
}

TEST(nobody_hears_of_a_recovery_who_has_not_heard_of_the_hold)
{
	struct fixture *f = told();

	ends(f, DISK, STAGE_NEVER);
	manual(f, DISK, true);
	ends(f, DISK, 0);
	ends(f, READY, 0);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	CHECK_INT(f->started[NOT_READY], 0);
	CHECK_INT(f->started[READY], 1);
	finish(f);
}

TEST(a_held_stage_is_not_waited_for_in_a_good_boot)
{
	struct fixture *f = make();

	add(f, "tell", NODE_STAGE)->when = WHEN_HELD;
	add(f, "disk", NODE_STAGE);
	begin(f);
	ends(f, 1, 0);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	finish(f);
}

TEST(the_held_action_is_due_after_its_delay)
{
	struct fixture *f = make();

	f->config.held_action = HELD_REBOOT;
	f->config.held_delay_ms = 60000;
	add(f, "disk", NODE_STAGE);
	begin(f);
	ends(f, 0, STAGE_NEVER);
	CHECK(!f->held_over);
	wait_until_due(f);
	CHECK_INT(f->now, 61 * S);
	CHECK(f->held_over);
	finish(f);
}

TEST(a_failed_stage_started_by_hand_ends_the_hold)
{
	struct fixture *f = make();

	add(f, "disk", NODE_STAGE);
	needs(add(f, "reth", NODE_SERVICE), 0);
	begin(f);
	ends(f, 0, STAGE_NEVER);
	CHECK_INT(plan_start(&f->plan, 0, f->now), 0);
	turn(f);
	CHECK_INT(f->plan.state, BOOT_BOOTING);
	CHECK_INT(f->started[0], 2);
	ends(f, 0, 0);
	ready(f, 1);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	finish(f);
}

/* A boot of `disk`, and of `db` and `app`, which needs it, without a deadline of their own. */
static struct fixture *make_slow(int64_t boot_deadline_ms)
{
	struct fixture *f = make();

	f->config.boot_deadline_ms = boot_deadline_ms;
	add(f, "disk", NODE_STAGE)->deadline_ms = 0;
	add(f, "db", NODE_SERVICE)->ready_deadline_ms = 0;
	needs(add(f, "app", NODE_SERVICE), 1);
	begin(f);
	return f;
}

TEST(a_boot_without_progress_is_held_with_what_is_missing_and_is_booted_when_it_comes)
{
	struct fixture *f = make_slow(900000);

	f->config.held_action = HELD_REBOOT;
	f->config.held_delay_ms = 60000;
	f->now += 600 * S;
	ends(f, 0, 0);			/* is progress */
	f->now += 899 * S;
	turn(f);
	CHECK_INT(f->plan.state, BOOT_BOOTING);
	wait_until_due(f);
	CHECK_INT(f->now, 1501 * S);
	CHECK_INT(f->plan.state, BOOT_HELD);
	CHECK_STR(f->plan.reason, "no progress for 900 s; missing: db (running); waiting for others: app");
	f->now += 10 * S;
	ready(f, 1);
	CHECK_INT(f->plan.state, BOOT_HELD);
	CHECK_STR(f->plan.reason, "no progress for 900 s; missing: app (running)");
	ready(f, 2);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	f->now += 10000 * S;
	turn(f);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	CHECK(!f->held_over);
	finish(f);
}

TEST(a_boot_held_for_its_deadline_has_the_held_action)
{
	struct fixture *f = make_slow(900000);

	f->config.held_action = HELD_REBOOT;
	f->config.held_delay_ms = 60000;
	wait_until_due(f);
	CHECK_INT(f->plan.state, BOOT_HELD);
	wait_until_due(f);
	CHECK_INT(f->now, 961 * S);
	CHECK(f->held_over);
	finish(f);
}

TEST(without_a_deadline_a_boot_may_take_for_ever)
{
	struct fixture *f = make_slow(0);

	f->now += 1000000 * S;
	turn(f);
	CHECK_INT(f->plan.state, BOOT_BOOTING);
	CHECK_INT(plan_due_ns(&f->plan), 0);
	finish(f);
}

TEST(more_bytes_of_a_required_download_are_progress_and_the_same_ones_again_are_not)
{
	struct fixture *f = make_slow(900000);

	for (uint64_t bytes = 1; bytes <= 5; bytes++) {
		f->now += 800 * S;
		plan_progress(&f->plan, 0, bytes * 1000, f->now);
		turn(f);
		CHECK_INT(f->plan.state, BOOT_BOOTING);
	}
	for (uint64_t bytes = 1; bytes <= 5; bytes++) {		/* another attempt, from the beginning */
		f->now += 170 * S;
		plan_progress(&f->plan, 0, bytes * 1000, f->now);
		turn(f);
		CHECK_INT(f->plan.state, BOOT_BOOTING);
	}
	wait_until_due(f);
	CHECK_INT(f->plan.state, BOOT_HELD);
	CHECK_INT(f->now, 4901 * S);
	finish(f);
}

TEST(what_comes_and_goes_is_no_progress_and_does_not_repeat_the_hold)
{
	struct fixture *f = make_slow(900000);
	char reason[NODE_REASON_MAX];

	for (int i = 0; i < 11; i++) {			/* db is ready, and fails again after a while */
		f->now += 80 * S;
		ready(f, 1);
		CHECK_INT(f->plan.state, BOOT_BOOTING);
		f->now += S;
		ends(f, 1, 1);
		wait_until_due(f);
	}
	while (f->plan.state == BOOT_BOOTING)
		wait_until_due(f);
	CHECK_INT(f->plan.state, BOOT_HELD);
	CHECK_INT(f->now, 981 * S);			/* from the first time on */
	snprintf(reason, sizeof(reason), "%s", f->plan.reason);
	ready(f, 1);
	CHECK_STR(f->plan.reason, reason);
	finish(f);
}

TEST(a_failure_goes_before_the_deadline_and_its_repair_begins_a_new_one)
{
	struct fixture *f = make_slow(900000);

	wait_until_due(f);
	CHECK_INT(f->plan.state, BOOT_HELD);
	ends(f, 0, STAGE_NEVER);
	CHECK_STR(f->plan.reason, "disk: exit status 125");
	CHECK_INT(plan_start(&f->plan, 0, f->now), 0);
	turn(f);
	CHECK_INT(f->plan.state, BOOT_BOOTING);
	wait_until_due(f);
	CHECK_INT(f->now, 1801 * S);
	CHECK_INT(f->plan.state, BOOT_HELD);
	finish(f);
}

TEST(the_reason_of_a_hold_is_one_that_still_holds)
{
	struct fixture *f = make();

	add(f, "first", NODE_STAGE);
	add(f, "second", NODE_STAGE);
	begin(f);
	ends(f, 0, STAGE_NEVER);
	f->now += S;
	ends(f, 1, STAGE_NEVER);
	CHECK(strstr(f->plan.reason, "first: ") == f->plan.reason);
	CHECK_INT(plan_start(&f->plan, 0, f->now), 0);
	turn(f);
	ends(f, 0, 0);
	CHECK_INT(f->plan.state, BOOT_HELD);
	CHECK(strstr(f->plan.reason, "second: ") == f->plan.reason);
	finish(f);
}

TEST(a_crashed_service_restarts_with_growing_delay)
{
	struct fixture *f = make();

	add(f, "a", NODE_SERVICE);
	begin(f);
	for (int i = 0; i < 6; i++) {
		int64_t then = f->now;

		ready(f, 0);
		ends(f, 0, 1);
		wait_until_due(f);
		CHECK_INT(f->now - then, i < 4 ? (S << i) : 8 * S);
	}
	CHECK_INT(f->started[0], 7);
	finish(f);
}

TEST(a_stable_service_forgets_its_earlier_failures)
{
	struct fixture *f = make();
	int64_t then;

	add(f, "a", NODE_SERVICE);
	begin(f);
	for (int i = 0; i < 3; i++) {
		ends(f, 0, 1);
		wait_until_due(f);
	}
	ready(f, 0);
	f->now += 3600 * S;
	then = f->now;
	ends(f, 0, 1);
	wait_until_due(f);
	CHECK_INT(f->now - then, S);
	finish(f);
}

TEST(a_service_whose_readiness_fails_is_stopped_and_restarts_with_growing_delay_and_that_reason)
{
	struct fixture *f = make();

	add(f, "a", NODE_SERVICE);
	needs(add(f, "b", NODE_SERVICE), 0);
	begin(f);
	for (int i = 0; i < 3; i++) {
		int64_t then = f->now += 3600 * S;

		plan_unready(&f->plan, 0, "when_ready: no", f->now);
		turn(f);
		CHECK_INT(state(f, 0), NODE_STOPPING);
		CHECK_INT(f->last_signal[0], SIGTERM);
		plan_ready(&f->plan, 0, f->now);
		ends(f, 0, 0);
		CHECK_INT(state(f, 0), NODE_RETRYING);
		CHECK_STR(f->plan.nodes[0].reason, "when_ready: no");
		CHECK_INT(state(f, 1), NODE_WAITING);
		wait_until_due(f);
		CHECK_INT(f->now - then, S << i);
	}
	ready(f, 0);
	plan_unready(&f->plan, 0, "too late", f->now);
	CHECK_INT(state(f, 0), NODE_READY);
	finish(f);
}

TEST(a_stage_whose_work_must_not_be_done_twice_is_started_by_hand_only_until_it_is_done)
{
	static const struct stage once = {.type = "disk", .once = true}, again = {.type = "render"};
	struct fixture *f = make();

	add(f, "disk", NODE_STAGE)->stage = &once;
	add(f, "render", NODE_STAGE)->stage = &again;
	begin(f);
	ends(f, 0, STAGE_NEVER);
	CHECK_INT(plan_start(&f->plan, 0, f->now), 0);
	turn(f);
	ends(f, 0, STAGE_DONE);
	ends(f, 1, STAGE_DONE);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	CHECK_INT(plan_start(&f->plan, 0, f->now), -EALREADY);
	CHECK_INT(plan_start(&f->plan, 1, f->now), 0);
	turn(f);
	CHECK_INT(f->started[0], 2);
	CHECK_INT(f->started[1], 2);
	CHECK_INT(state(f, 0), NODE_DONE);
	finish(f);
}

TEST(restart_policies_are_kept)
{
	struct fixture *f = make();

	add(f, "never", NODE_SERVICE)->restart = RESTART_NEVER;
	add(f, "on-failure", NODE_SERVICE)->restart = RESTART_ON_FAILURE;
	add(f, "always", NODE_SERVICE);
	begin(f);
	ends(f, 0, 0);
	ends(f, 1, 0);
	ends(f, 2, 0);
	CHECK_INT(state(f, 0), NODE_DONE);
	CHECK_INT(state(f, 1), NODE_DONE);
	CHECK_INT(state(f, 2), NODE_RETRYING);
	finish(f);
}

TEST(a_manual_stop_stays_stopped_and_a_restart_comes_back)
{
	struct fixture *f = make();

	add(f, "a", NODE_SERVICE);
	begin(f);
	ready(f, 0);
	CHECK_INT(plan_stop(&f->plan, 0, false, f->now), 0);
	turn(f);
	CHECK_INT(f->last_signal[0], SIGTERM);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_STOPPED);
	CHECK_INT(plan_due_ns(&f->plan), 0);
	CHECK_INT(plan_stop(&f->plan, 0, false, f->now), -EALREADY);
	CHECK_INT(plan_start(&f->plan, 0, f->now), 0);
	turn(f);
	ready(f, 0);
	CHECK_INT(plan_stop(&f->plan, 0, true, f->now), 0);
	turn(f);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_RUNNING);
	CHECK_INT(f->started[0], 3);
	finish(f);
}

TEST(a_disabled_service_starts_only_by_hand)
{
	struct fixture *f = make();

	add(f, "ssh", NODE_SERVICE)->enabled = false;
	begin(f);
	CHECK_INT(state(f, 0), NODE_DISABLED);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	CHECK_INT(plan_start(&f->plan, 0, f->now), 0);
	turn(f);
	CHECK_INT(f->started[0], 1);
	finish(f);
}

TEST(no_process_to_give_is_not_the_nodes_failure)
{
	struct fixture *f = make();

	add(f, "a", NODE_STAGE)->retry_limit = 2;
	begin(f);
	for (int i = 0; i < 20; i++) {
		plan_not_started(&f->plan, 0, "Resource temporarily unavailable", f->now);
		turn(f);
		CHECK_INT(state(f, 0), NODE_RETRYING);
		wait_until_due(f);
	}
	ends(f, 0, STAGE_AGAIN);
	CHECK_INT(state(f, 0), NODE_RETRYING);
	wait_until_due(f);
	ends(f, 0, 0);
	CHECK_INT(state(f, 0), NODE_DONE);
	finish(f);
}

/*
 * Whatever happens in whatever order: nothing runs before its needs are met, a node never has two processes, and a
 * shutdown always comes to its end.
 */
TEST(random_walks_keep_the_invariants)
{
	unsigned seed = 20261123;

	for (int walk = 0; walk < 2000; walk++) {
		struct fixture *f = make();
		bool running[NODES] = {false};
		unsigned before[NODES] = {0};

		for (size_t i = 0; i < NODES; i++) {
			struct config_node *node = add(f, "n", rand_r(&seed) % 2 ? NODE_STAGE : NODE_SERVICE);

			node->required = rand_r(&seed) % 4;
			for (size_t k = 0; k < i; k++)
				if (rand_r(&seed) % 4 == 0)
					needs(node, k);
		}
		begin(f);
		for (int step = 0; step < 200; step++) {
			size_t i = (size_t)rand_r(&seed) % NODES;

			for (size_t k = 0; k < NODES; k++) {
				if (f->started[k] == before[k])
					continue;
				CHECK_INT(f->started[k], before[k] + 1);
				CHECK(!running[k]);
				running[k] = true;
				before[k] = f->started[k];
			}
			f->now += rand_r(&seed) % 3 * S;
			switch (rand_r(&seed) % 6) {
			case 0:
				ready(f, i);
				break;
			case 1:
			case 2:
				if (running[i]) {
					static const int statuses[] = {0, 0, 1, STAGE_AGAIN, STAGE_NEVER};

					running[i] = false;
					ends(f, i, statuses[rand_r(&seed) % 5]);
				}
				break;
			case 3:
				plan_start(&f->plan, i, f->now);
				turn(f);
				break;
			case 4:
				plan_stop(&f->plan, i, rand_r(&seed) % 2, f->now);
				turn(f);
				break;
			default:
				turn(f);
			}
		}
		for (size_t k = 0; k < NODES; k++)
			running[k] |= f->started[k] != before[k];
		plan_shutdown(&f->plan, f->now);
		turn(f);
		for (size_t round = 0; round < NODES && !f->down; round++) {
			for (size_t k = 0; k < NODES; k++) {
				if (running[k] && f->plan.nodes[k].state == NODE_STOPPING) {
					running[k] = false;
					ends(f, k, 0);
				}
			}
		}
		CHECK(f->down);
		finish(f);
	}
}
