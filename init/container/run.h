/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One program, run to its end by a deadline, its output taken line by line: what a role that must wait for another
 * program does. Whoever calls it is a short-lived process of its own; PID 1 never does.
 */
#ifndef INIT_CONTAINER_RUN_H
#define INIT_CONTAINER_RUN_H

#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

#define RUN_LINE_MAX 1024	/* a longer line is cut */

struct run {
	char *const *words, *const *environment;	/* NULL-ended */
	const char *input;		/* for its standard input, which is /dev/null otherwise; NULL: none */
	size_t input_size;		/* at most a pipe's size, 64 KiB */
	int64_t deadline_ns;		/* of CLOCK_BOOTTIME */
	int64_t tick_ns;		/* how often to call tick; 0: never */
	void (*line)(void *with, const char *line);	/* of either output; may be NULL */
	void (*tick)(void *with, pid_t pid);
	void *with;
};

/*
 * The program's exit status, 128 + number after a signal; -ETIMEDOUT: killed at its deadline, with its process group;
 * or negative errno: not started.
 */
int run_program(const struct run *run);

int64_t run_now_ns(void);

#endif
