/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Output of a process, which the relay (relay.h) reads: each line becomes an event, the last one is kept for its exit.
 * Lines beyond the rate limit are dropped, counted and reported; one process gets a bounded part of the loop's turn.
 */
#ifndef INIT_PROCESS_OUTPUT_H
#define INIT_PROCESS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/plan.h>

#include "init/lib/bucket.h"
#include "init/lib/loop.h"
#include "relay.h"

#define OUTPUT_LINE_SIZE 512

struct output {
	struct relay_pipe pipe;
	struct loop_source socket;	/* of the pipe */
	struct loop_timer report;	/* of dropped lines */
	struct loop_timer patience;	/* with a pipe that is held; once ending, with the relay */
	const char *owner;		/* source of the events */
	bool quiet;			/* no events of its lines */
	bool held, told_held;		/* somebody holds the pipe; an event says so */
	void (*done)(void *with);	/* output_end()'s callback */
	void *with;
	char *text;			/* NODE_REASON_MAX bytes: the last line */
	char *cause;			/* likewise: the latest line that looks like an error */
	unsigned cause_age;		/* lines since then */
	char *line;			/* OUTPUT_LINE_SIZE bytes: the unfinished line */
	size_t line_size;
	bool line_cut;
	struct bucket events, reports;
	unsigned long lines_dropped;
};

#define OUTPUT_NONE {.pipe = RELAY_PIPE_NONE, .socket = LOOP_SOURCE_INIT}

/*
 * Makes the pipe; pipe.write_fd is for the process. owner, text, cause and line must outlive output. `quiet`: makes no
 * events of its lines. 0 or negative errno; -EBUSY: too many earlier pipes of the owner are held.
 */
int output_begin(struct output *output, const char *owner, bool quiet, char *text, char *cause, char *line);

/*
 * The line that says why, where the last one does not: a stack trace or a hint often follows it. Of the last
 * OUTPUT_CAUSE_LINES lines; NULL: none, or it is the last one.
 */
#define OUTPUT_CAUSE_LINES 20
const char *output_cause(const struct output *output);

/* Whether a line looks like the report of an error. */
bool output_is_cause(const char *line, size_t size);

/* The process was not started. */
void output_cancel(struct output *output);

/*
 * The process has exited: takes what is in the pipe, ends the last line, and calls `done`, before it returns if it can.
 * A pipe that is held keeps it no longer than the relay needs to notice that. Safe on OUTPUT_NONE.
 */
#define OUTPUT_WAIT_NS (5 * 1000000000LL)	/* for the relay, which others can only slow down */
void output_end(struct output *output, void (*done)(void *with), void *with);

/* Copies one line to `to`, cut to NODE_REASON_MAX bytes, with control characters replaced by spaces. */
void output_keep_text(char *to, const char *bytes, size_t size);

#endif
