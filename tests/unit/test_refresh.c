/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A change of the configuration with a clock of the test's own and no process: which stage is run when and in which
 * mode, what each failure leaves, when the next one comes, and what is said aloud. A row is one step; what must come
 * of it is one text.
 */
/* links: plan init/lib */
#include "init/plan/refresh.h"
#include "test.h"

#define S 1000000000LL

static struct refresh_stage stages[5];

static struct refresh make(void)
{
	static const struct refresh_stage fresh[] = {
		{.name = "config", .part = STAGE_FETCHES, .required = true, .deadline_ns = 90 * S},
		{.name = "measure", .part = STAGE_MEASURES, .required = true, .deadline_ns = 60 * S, .runs = true,
		 .had = true},
		{.name = "one", .part = STAGE_RENDERS, .required = true, .deadline_ns = 60 * S, .runs = true, .had = true},
		{.name = "two", .part = STAGE_RENDERS, .required = true, .deadline_ns = 60 * S, .runs = true, .had = true},
		{.name = "three", .part = STAGE_RENDERS, .required = true, .deadline_ns = 60 * S, .runs = true, .had = true},
	};

	memcpy(stages, fresh, sizeof(fresh));
	return (struct refresh){.stages = stages, .n_stages = 5, .open = true, .random = 7};
}

/* "check one, commit, tell changed loud" */
static const char *text_of(const struct refresh *r, const struct refresh_actions *actions)
{
	static const char *const modes[] = STAGE_MODE_NAMES, *const outcomes[] = {"changed", "unchanged", "failed"};
	static char text[300];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < actions->n; i++) {
		const struct refresh_action *a = &actions->list[i];
		const char *name = r->stages[a->stage].name;

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", i ? ", " : "");
		if (a->kind == REFRESH_RUN)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s%s", modes[a->mode], name,
					      a->old ? " old" : "");
		else if (a->kind == REFRESH_TELL)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "tell %s%s", outcomes[a->outcome],
					      a->loud ? " loud" : "");
		else if (a->kind == REFRESH_WARN)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "warn %s", name);
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, a->kind == REFRESH_KILL ? "kill" : "commit");
	}
	return text;
}

static void must(struct refresh *r, const struct refresh_input *input, int64_t now, const char *expected)
{
	struct refresh_actions actions;

	refresh_step(r, input, now, &actions);
	CHECK_STR(text_of(r, &actions), expected);
}

static void asked(struct refresh *r, int64_t now, const char *expected)
{
	must(r, &(struct refresh_input){.kind = REFRESH_ASK}, now, expected);
}

static void turned(struct refresh *r, int64_t now, const char *expected)
{
	must(r, &(struct refresh_input){.kind = REFRESH_TURN}, now, expected);
}

static void ended(struct refresh *r, enum refresh_outcome outcome, const char *reason, int64_t now, const char *expected)
{
	must(r, &(struct refresh_input){.kind = REFRESH_ENDED, .outcome = outcome, .reason = reason}, now, expected);
}

struct row {
	enum refresh_outcome outcome;
	const char *expected;
};

/* Asks, then ends each process as the rows say. */
static void follow(struct refresh *r, const struct row *rows)
{
	asked(r, S, "refresh config");
	for (; rows->expected; rows++)
		ended(r, rows->outcome, "why", S, rows->expected);
	CHECK_INT(refresh_may(r), 0);
}

TEST(a_new_document_is_checked_by_all_then_measured_then_applied_then_current)
{
	struct refresh r = make();

	follow(&r, (const struct row[]){
		{REFRESH_GOOD, "check one"}, {REFRESH_GOOD, "check two"}, {REFRESH_GOOD, "check three"},
		{REFRESH_GOOD, "refresh measure"}, {REFRESH_GOOD, "apply one"}, {REFRESH_GOOD, "apply two"},
		{REFRESH_GOOD, "apply three"}, {REFRESH_GOOD, "commit, tell changed loud"}, {0}});
	CHECK_STR(r.said, "");
}

TEST(the_same_document_ends_it)
{
	struct refresh r = make();

	follow(&r, (const struct row[]){{REFRESH_SAME, "tell unchanged loud"}, {0}});
}

TEST(a_stage_that_does_not_take_part_is_left_out)
{
	struct refresh r = make();

	stages[1].runs = stages[2].runs = stages[4].runs = false;
	follow(&r, (const struct row[]){{REFRESH_GOOD, "check two"}, {REFRESH_GOOD, "apply two"},
					{REFRESH_GOOD, "commit, tell changed loud"}, {0}});
	stages[3].runs = false;
	follow(&r, (const struct row[]){{REFRESH_GOOD, "commit, tell changed loud"}, {0}});
}

TEST(a_failure_before_apply_ends_it_with_nothing_changed)
{
	static const struct row all[] = {{REFRESH_GOOD, "check one"}, {REFRESH_GOOD, "check two"},
					 {REFRESH_GOOD, "check three"}, {REFRESH_GOOD, "refresh measure"}};

	for (size_t at = 0; at <= 4; at++) {
		struct refresh r = make();
		struct row rows[6] = {0};

		memcpy(rows, all, at * sizeof(*rows));
		rows[at] = (struct row){REFRESH_BAD, "tell failed loud"};
		follow(&r, rows);
		CHECK_STR(r.reason, ((const char *[]){"config: why", "one: why", "two: why", "three: why",
						      "measure: why"})[at]);
	}
}

TEST(a_measure_that_the_boot_does_not_require_is_not_required_here)
{
	struct refresh r = make();

	stages[1].required = false;
	stages[3].runs = stages[4].runs = false;
	follow(&r, (const struct row[]){{REFRESH_GOOD, "check one"}, {REFRESH_GOOD, "refresh measure"},
					{REFRESH_BAD, "warn measure, apply one"},
					{REFRESH_GOOD, "commit, tell changed loud"}, {0}});
}

TEST(a_failed_apply_is_undone_backwards_with_the_old_document)
{
	struct refresh r = make();
	const struct row begin[] = {
		{REFRESH_GOOD, "check one"}, {REFRESH_GOOD, "check two"}, {REFRESH_GOOD, "check three"},
		{REFRESH_GOOD, "refresh measure"}, {REFRESH_GOOD, "apply one"}, {REFRESH_GOOD, "apply two"},
		{REFRESH_BAD, "apply two old"}, {REFRESH_GOOD, "apply one old"}, {REFRESH_GOOD, "tell failed loud"}, {0}};

	follow(&r, begin);
	CHECK_STR(r.reason, "two: why");
}

TEST(an_undo_that_fails_is_told_and_the_others_are_undone_all_the_same)
{
	struct refresh r = make();

	stages[2].had = false;	/* it had failed at the boot: there is nothing to go back to */
	stages[1].runs = false;
	follow(&r, (const struct row[]){
		{REFRESH_GOOD, "check one"}, {REFRESH_GOOD, "check two"}, {REFRESH_GOOD, "check three"},
		{REFRESH_GOOD, "apply one"}, {REFRESH_GOOD, "apply two"}, {REFRESH_GOOD, "apply three"},
		{REFRESH_BAD, "apply three old"}, {REFRESH_BAD, "warn three, apply two old"},
		{REFRESH_GOOD, "tell failed loud"}, {0}});
	CHECK_STR(r.reason, "three: why");
}

TEST(each_process_has_its_deadline)
{
	struct refresh r = make();

	asked(&r, S, "refresh config");
	CHECK_INT(refresh_due_ns(&r), 91 * S);
	turned(&r, 91 * S - 1, "");
	turned(&r, 91 * S, "kill");
	turned(&r, 92 * S, "");
	CHECK_INT(refresh_due_ns(&r), 0);
	ended(&r, REFRESH_GOOD, "", 92 * S, "tell failed loud");	/* it came too late, whatever it says */
	CHECK_STR(r.reason, "config: did not finish within 90 s");
	asked(&r, 100 * S, "refresh config");
	ended(&r, REFRESH_GOOD, "", 101 * S, "check one");
	CHECK_INT(refresh_due_ns(&r), 161 * S);
}

TEST(one_at_a_time_and_none_before_the_boot_is_there)
{
	struct refresh r = make();

	r.open = false;
	CHECK_INT(refresh_may(&r), -ENODATA);
	asked(&r, S, "");
	r.open = true;
	asked(&r, S, "refresh config");
	CHECK_INT(refresh_may(&r), -EINPROGRESS);
	asked(&r, S, "");
	ended(&r, REFRESH_SAME, "", S, "tell unchanged loud");
	ended(&r, REFRESH_GOOD, "", S, "");	/* nothing runs */
	CHECK_INT(refresh_may(&r), 0);
}

TEST(a_stop_kills_it_and_nothing_begins_again)
{
	struct refresh r = make();

	r.every_ns = 300 * S;
	asked(&r, S, "refresh config");
	must(&r, &(struct refresh_input){.kind = REFRESH_STOP}, 2 * S, "kill, tell failed");
	CHECK_STR(r.reason, "the machine is shutting down");
	ended(&r, REFRESH_GOOD, "", 2 * S, "");
	asked(&r, 2 * S, "");
	turned(&r, 10000 * S, "");
	CHECK_INT(refresh_may(&r), -ESHUTDOWN);
	CHECK_INT(refresh_due_ns(&r), 0);
	r = make();
	must(&r, &(struct refresh_input){.kind = REFRESH_STOP}, 2 * S, "");
}

TEST(by_time_it_begins_a_period_after_the_boot_and_after_the_last_one)
{
	struct refresh r = make();

	r.every_ns = 300 * S;
	r.open = false;
	turned(&r, S, "");
	CHECK_INT(refresh_due_ns(&r), 0);
	r.open = true;
	turned(&r, 10 * S, "");
	CHECK_INT(refresh_due_ns(&r), 310 * S);
	turned(&r, 310 * S - 1, "");
	turned(&r, 310 * S, "refresh config");
	ended(&r, REFRESH_SAME, "", 312 * S, "tell unchanged");
	CHECK_INT(refresh_due_ns(&r), 612 * S);
	r.open = false;		/* due, but a stage is being run again by hand */
	turned(&r, 700 * S, "");
	r.open = true;
	turned(&r, 800 * S, "refresh config");
}

TEST(without_a_period_it_comes_only_when_asked)
{
	struct refresh r = make();

	turned(&r, 1000000 * S, "");
	CHECK_INT(refresh_due_ns(&r), 0);
	asked(&r, S, "refresh config");
	ended(&r, REFRESH_BAD, "no", S, "tell failed loud");
	CHECK_INT(refresh_due_ns(&r), 0);
}

TEST(failures_double_the_wait_up_to_an_hour_and_one_success_ends_that)
{
	static const int64_t waits[] = {600, 1200, 2400, 3600, 3600};
	struct refresh r = make();
	int64_t now = S;

	r.every_ns = 300 * S;
	for (size_t i = 0; i < 5; i++) {
		asked(&r, now, "refresh config");
		ended(&r, REFRESH_BAD, "no", now, "tell failed loud");
		CHECK_INT(refresh_due_ns(&r), now + waits[i] * S);
		now = refresh_due_ns(&r);
	}
	turned(&r, now, "refresh config");
	ended(&r, REFRESH_SAME, "", now, "tell unchanged loud");	/* news: it works again */
	CHECK_INT(refresh_due_ns(&r), now + 300 * S);
	r.every_ns = 7200 * S;
	asked(&r, now, "refresh config");
	ended(&r, REFRESH_BAD, "no", now, "tell failed loud");
	CHECK_INT(refresh_due_ns(&r), now + 7200 * S);
}

TEST(a_reason_is_told_aloud_once_until_it_changes_or_somebody_asks)
{
	struct refresh r = make();
	int64_t now = S;

	r.every_ns = S;
	asked(&r, now, "refresh config");
	ended(&r, REFRESH_BAD, "403", now, "tell failed loud");
	for (int i = 0; i < 3; i++) {
		now = refresh_due_ns(&r);
		turned(&r, now, "refresh config");
		ended(&r, REFRESH_BAD, i < 2 ? "403" : "no route", now, i < 2 ? "tell failed" : "tell failed loud");
	}
	asked(&r, now, "refresh config");
	ended(&r, REFRESH_BAD, "no route", now, "tell failed loud");
	now = refresh_due_ns(&r);
	turned(&r, now, "refresh config");
	ended(&r, REFRESH_SAME, "", now, "tell unchanged loud");
	turned(&r, now += S, "refresh config");
	ended(&r, REFRESH_SAME, "", now, "tell unchanged");
	turned(&r, now += S, "refresh config");
	ended(&r, REFRESH_BAD, "no route", now, "tell failed loud");
}

TEST(the_jitter_stays_within_its_part_and_differs)
{
	struct refresh r = make();
	int64_t least = INT64_MAX, most = 0;

	r.every_ns = 100 * S;
	r.jitter = 0.2;
	for (int i = 0; i < 1000; i++) {
		int64_t due;

		asked(&r, 0, "refresh config");
		ended(&r, REFRESH_SAME, "", 0, "tell unchanged loud");
		due = refresh_due_ns(&r);
		least = due < least ? due : least;
		most = due > most ? due : most;
	}
	CHECK(least >= 80 * S && least < 81 * S);
	CHECK(most <= 120 * S && most > 119 * S);
}
