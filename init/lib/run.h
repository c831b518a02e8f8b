/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One program, run to its end or a deadline, with its output line by line: for roles that must wait for another
 * program. The caller is a process of its own; PID 1 never runs one.
 */
#ifndef INIT_LIB_RUN_H
#define INIT_LIB_RUN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RUN_LINE_MAX     1024	/* a longer line is cut */
#define RUN_NOT_EXECUTED 127	/* exit status: the program could not be executed, its last line says why */
#define RUN_KILLED       256

struct run {
	char *const *words, *const *environment;	/* NULL-ended; environment NULL: the caller's own */
	const char *input;		/* for its standard input, which is /dev/null otherwise; NULL: none */
	size_t input_size;		/* at most a pipe's size, 64 KiB */
	int64_t deadline_ns;		/* of CLOCK_BOOTTIME; 0: none. With one it gets a process group of its own */
	int64_t tick_ns;		/* how often to call tick; 0: never */
	/* In the new process, last thing before the exec; returns the step that failed, with errno, or NULL. */
	const char *(*prepare)(void *with);
	void (*line)(void *with, const char *line);	/* of either output, never empty; may be NULL */
	void (*tick)(void *with, pid_t pid);
	void *with;
};

/*
 * The program's exit status, or RUN_KILLED + number after a signal; -ETIMEDOUT: killed at its deadline, with its
 * process group; or negative errno: not started. It does not outlive the caller. Processes it leaves running are not
 * waited for.
 */
int run_program(const struct run *run);

int64_t run_now_ns(void);

#endif
