/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process prints, where PID 1 itself reads it: each line an event, the last one kept as what the process said.
 * Who prints too much loses lines, which are counted and said; the loop gives one process a bounded part of its turn.
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
	const char *source;		/* of the events; NULL: there are none */
	char *text;			/* NODE_REASON_MAX bytes: the last line */
	char *line;			/* OUTPUT_LINE_SIZE bytes */
	size_t line_size;
	bool line_cut;
	struct bucket events;
	unsigned long lines_dropped;
};

#define OUTPUT_NONE {.pipe = LOOP_SOURCE_INIT}

/* source, text and line must outlive it. 0, or negative errno; fd stays the caller's then. */
int output_begin(struct output *output, int fd, const char *source, char *text, char *line);

/* It was not to be: forgets the descriptor, which is the caller's. */
void output_cancel(struct output *output);

/* Reads what is there, ends the last line, and closes the descriptor; also of one that was never begun. */
void output_end(struct output *output);

/* One line in NODE_REASON_MAX bytes, control characters as spaces. */
void output_keep_text(char *to, const char *bytes, size_t size);

#endif
