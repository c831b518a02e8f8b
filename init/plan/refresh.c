/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements refresh.h. Each phase runs the stages of one part in turn; refresh_step() starts the next process of the
 * phase, or enters the next phase. Helpers first, public functions last.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "refresh.h"

#define HOUR_NS 3600000000000LL

static struct refresh_action *push(struct refresh_actions *ret, enum refresh_action_kind kind)
{
	struct refresh_action *action = &ret->list[ret->n++];

	*action = (struct refresh_action){.kind = kind};
	return action;
}

/* 0..1, by xorshift64: it only spreads the refreshes of many machines over time. */
static double chance(struct refresh *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (double)(r->random >> 11) / (double)(1ULL << 53);
}

/* The wait doubles with each failure in a row, up to an hour or every_ns, whichever is longer. */
static void schedule(struct refresh *r, int64_t now)
{
	int64_t wait = r->every_ns, most = wait > HOUR_NS ? wait : HOUR_NS;

	for (unsigned i = 0; i < r->failures && wait < most; i++)
		wait *= 2;
	if (wait > most)
		wait = most;
	r->due_ns = wait ? now + wait + (int64_t)((double)wait * r->jitter * (2 * chance(r) - 1)) : 0;
}

static void run(struct refresh *r, size_t stage, enum stage_mode mode, bool old, int64_t now,
		struct refresh_actions *ret)
{
	struct refresh_action *action = push(ret, REFRESH_RUN);

	action->stage = stage;
	action->mode = mode;
	action->old = old;
	r->at = stage;
	r->process = true;
	r->overdue = false;
	r->deadline_ns = now + r->stages[stage].deadline_ns;
}

static void over(struct refresh *r, enum refresh_outcome outcome, int64_t now, struct refresh_actions *ret)
{
	bool news = outcome == REFRESH_BAD ? strcmp(r->reason, r->said) != 0 : r->said[0] != '\0';
	struct refresh_action *action = push(ret, REFRESH_TELL);

	action->outcome = outcome;
	action->loud = news || r->asked || outcome == REFRESH_GOOD;
	if (outcome == REFRESH_BAD)
		memcpy(r->said, r->reason, sizeof(r->said));
	else
		r->said[0] = '\0';
	r->failures = outcome == REFRESH_BAD ? r->failures + 1 : 0;
	r->state = REFRESH_IDLE;
	r->asked = false;
	schedule(r, now);
}

static void fail(struct refresh *r, const char *reason)
{
	snprintf(r->reason, sizeof(r->reason), "%s: %.*s", r->stages[r->at].name,
		 (int)(sizeof(r->reason) - NODE_NAME_MAX - 4), reason && *reason ? reason : "failed");
}

static void begin(struct refresh *r, int64_t now, struct refresh_actions *ret)
{
	r->state = REFRESH_FETCHING;
	r->due_ns = 0;
	r->reason[0] = '\0';
	for (size_t i = 0; i < r->n_stages; i++)
		r->stages[i].touched = false;
	run(r, 0, STAGE_REFRESH, false, now, ret);
}

/* The part of the stages that each phase runs, how, and the next phase. */
static const struct phase {
	enum stage_refresh part;
	enum stage_mode mode;
	enum refresh_state then;
} phases[REFRESH_STATE_MAX] = {
	[REFRESH_CHECKING] = {STAGE_RENDERS, STAGE_CHECK, REFRESH_MEASURING},
	[REFRESH_MEASURING] = {STAGE_MEASURES, STAGE_REFRESH, REFRESH_APPLYING},
	[REFRESH_APPLYING] = {STAGE_RENDERS, STAGE_APPLY, REFRESH_IDLE},
};

/* Starts the next process of this phase from stage `from` on, or of the next phases; after the last one it succeeds. */
static void walk(struct refresh *r, size_t from, int64_t now, struct refresh_actions *ret)
{
	while (r->state != REFRESH_IDLE) {
		const struct phase *phase = &phases[r->state];

		for (size_t i = from; i < r->n_stages; i++) {
			if (!r->stages[i].runs || r->stages[i].part != phase->part)
				continue;
			r->stages[i].touched |= r->state == REFRESH_APPLYING;
			run(r, i, phase->mode, false, now, ret);
			return;
		}
		r->state = phase->then;
		from = 0;
	}
	push(ret, REFRESH_COMMIT);
	over(r, REFRESH_GOOD, now, ret);
}

/* In reverse order, beginning with the stage that failed: it may have renamed a part of its files. */
static void undo(struct refresh *r, int64_t now, struct refresh_actions *ret)
{
	r->state = REFRESH_UNDOING;
	for (size_t i = r->n_stages; i-- > 0;) {
		if (!r->stages[i].touched)
			continue;
		r->stages[i].touched = false;
		if (!r->stages[i].had)
			continue;
		run(r, i, STAGE_APPLY, true, now, ret);
		return;
	}
	over(r, REFRESH_BAD, now, ret);
}

static void ended(struct refresh *r, const struct refresh_input *input, int64_t now, struct refresh_actions *ret)
{
	bool bad = input->outcome == REFRESH_BAD || r->overdue;
	const struct refresh_stage *stage = &r->stages[r->at];
	char late[64];

	snprintf(late, sizeof(late), "did not finish within %g s", (double)stage->deadline_ns / 1e9);
	r->process = false;
	if (r->state == REFRESH_UNDOING) {
		if (bad)
			push(ret, REFRESH_WARN)->stage = r->at;
		undo(r, now, ret);
		return;
	}
	if (bad && r->state == REFRESH_MEASURING && !stage->required) {
		push(ret, REFRESH_WARN)->stage = r->at;
		bad = false;
	}
	if (bad)
		fail(r, r->overdue ? late : input->reason);
	if (bad && r->state == REFRESH_APPLYING) {
		undo(r, now, ret);
	} else if (bad) {
		over(r, REFRESH_BAD, now, ret);
	} else if (r->state == REFRESH_FETCHING) {
		if (input->outcome == REFRESH_SAME) {
			over(r, REFRESH_SAME, now, ret);
			return;
		}
		r->state = REFRESH_CHECKING;
		walk(r, 1, now, ret);
	} else {
		walk(r, r->at + 1, now, ret);
	}
}

static void stop(struct refresh *r, struct refresh_actions *ret)
{
	if (r->process)
		push(ret, REFRESH_KILL);
	if (r->state != REFRESH_IDLE) {
		snprintf(r->reason, sizeof(r->reason), "the machine is shutting down");
		push(ret, REFRESH_TELL)->outcome = REFRESH_BAD;
	}
	r->state = REFRESH_OVER;
	r->process = false;
	r->due_ns = 0;
}

static void turn(struct refresh *r, int64_t now, struct refresh_actions *ret)
{
	if (r->process && !r->overdue && now >= r->deadline_ns) {
		r->overdue = true;
		push(ret, REFRESH_KILL);
	}
	if (r->state != REFRESH_IDLE || !r->open || !r->every_ns)
		return;
	if (!r->due_ns)
		schedule(r, now);
	if (now >= r->due_ns)
		begin(r, now, ret);
}

int refresh_may(const struct refresh *r)
{
	return r->state == REFRESH_OVER ? -ESHUTDOWN : r->state != REFRESH_IDLE ? -EINPROGRESS : r->open ? 0 : -ENODATA;
}

void refresh_step(struct refresh *r, const struct refresh_input *input, int64_t now, struct refresh_actions *ret)
{
	ret->n = 0;
	if (r->state == REFRESH_OVER)
		return;
	switch (input->kind) {
	case REFRESH_TURN:
		turn(r, now, ret);
		break;
	case REFRESH_ASK:
		if (refresh_may(r) == 0) {
			r->asked = true;
			begin(r, now, ret);
		}
		break;
	case REFRESH_ENDED:
		if (r->process)
			ended(r, input, now, ret);
		break;
	case REFRESH_STOP:
		stop(r, ret);
		break;
	}
}

int64_t refresh_due_ns(const struct refresh *r)
{
	if (r->process)
		return r->overdue ? 0 : r->deadline_ns;
	return r->state == REFRESH_IDLE && r->open ? r->due_ns : 0;
}
