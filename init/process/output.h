/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Output of a process, read by PID 1: each line becomes an event, the last one is kept for its exit. Lines beyond the
 * rate limit are dropped, counted and reported; one process gets a bounded part of the loop's turn.
 */
#ifndef INIT_PROCESS_OUTPUT_H
#define INIT_PROCESS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/plan.h>

#include "init/lib/bucket.h"
#include "init/lib/loop.h"

#define OUTPUT_LINE_SIZE 512

struct output {
	struct loop_source pipe;
	struct loop_timer report;	/* of dropped lines */
	const char *source;		/* of the events; NULL: make none */
	char *text;			/* NODE_REASON_MAX bytes: the last line */
	char *line;			/* OUTPUT_LINE_SIZE bytes: the unfinished line */
	size_t line_size;
	bool line_cut;
	struct bucket events, reports;
	unsigned long lines_dropped;
};

#define OUTPUT_NONE {.pipe = LOOP_SOURCE_INIT}

/* Takes over fd; source, text and line must outlive output. 0, or negative errno and fd stays the caller's. */
int output_begin(struct output *output, int fd, const char *source, char *text, char *line);

/* Removes the descriptor from the loop and gives it back to the caller, unclosed. */
void output_cancel(struct output *output);

/* Reads what is in the pipe, without waiting, ends the last line, and closes the descriptor. Safe on OUTPUT_NONE. */
void output_end(struct output *output);

/* Copies one line to `to`, cut to NODE_REASON_MAX bytes, with control characters replaced by spaces. */
void output_keep_text(char *to, const char *bytes, size_t size);

#endif
