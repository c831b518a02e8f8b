/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A change of the configuration while the machine runs, as a pure state machine: the new document is fetched, checked
 * by every stage that renders files from it, measured, applied, and only then becomes the current one. Inputs go in
 * with the time they happened, actions come out, and refresh-run.c performs them: tests need no process and no clock.
 */
#ifndef INIT_PLAN_REFRESH_H
#define INIT_PLAN_REFRESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/control.h>
#include <gantry/plan.h>
#include <gantry/stage.h>

#define REFRESH_ACTIONS_MAX 4

enum refresh_input_kind {
	REFRESH_TURN,		/* time has passed, or the plan has moved */
	REFRESH_ASK,		/* somebody wants it now; only while refresh_may() is 0 */
	REFRESH_ENDED,		/* the process of the latest REFRESH_RUN has ended, or could not be started */
	REFRESH_STOP,		/* the machine is stopping */
};

struct refresh_input {
	enum refresh_input_kind kind;
	enum refresh_outcome outcome;	/* REFRESH_ENDED */
	const char *reason;		/* REFRESH_ENDED: one line */
};

enum refresh_action_kind {
	REFRESH_RUN,		/* start stages[stage] in `mode`; with the old document if `old` */
	REFRESH_KILL,		/* end that process; REFRESH_ENDED follows as always */
	REFRESH_WARN,		/* say that stages[stage] failed (reason), though it stops nothing */
	REFRESH_COMMIT,		/* the candidate becomes the current configuration */
	REFRESH_TELL,		/* it is over: outcome, reason; loud: not only for who debugs */
};

struct refresh_action {
	enum refresh_action_kind kind;
	size_t stage;
	enum stage_mode mode;
	bool old;
	enum refresh_outcome outcome;
	bool loud;
};

struct refresh_actions {
	struct refresh_action list[REFRESH_ACTIONS_MAX];
	size_t n;
};

struct refresh_stage {
	const char *name;
	enum stage_refresh part;
	bool required;
	int64_t deadline_ns;	/* for one step of it */
	bool runs;		/* the owner's, set while idle: it takes part in the next refresh */
	bool had;		/* likewise: it has ended well, so there is an old state to go back to */
	bool touched;
};

struct refresh {
	struct refresh_stage *stages;	/* the config stage first; the caller's */
	size_t n_stages;
	int64_t every_ns;		/* 0: only when asked */
	double jitter;			/* 0..1 of the wait, to either side */
	uint64_t random;		/* seed, not 0 */

	enum refresh_state state;
	bool open;			/* the owner's: the boot has got so far that a refresh disturbs nothing */
	bool asked;			/* this one was asked for */
	bool process, overdue;
	size_t at;			/* index of the stage whose process runs */
	unsigned failures;		/* in a row */
	int64_t due_ns;			/* when the next one begins; 0: not by time */
	int64_t deadline_ns;		/* of the process */
	char reason[NODE_REASON_MAX];	/* of this one's failure */
	char said[NODE_REASON_MAX];	/* the failure that was last told aloud; "": none since it last went well */
};

/* 0: REFRESH_ASK may come now; -EINPROGRESS: one is running; -ENODATA: the boot is not there yet; -ESHUTDOWN. */
int refresh_may(const struct refresh *r);

/* One input; what is to be done is in *ret, in this order. */
void refresh_step(struct refresh *r, const struct refresh_input *input, int64_t now, struct refresh_actions *ret);

/* When REFRESH_TURN has something to do although nothing else happens; 0: never. */
int64_t refresh_due_ns(const struct refresh *r);

#endif
