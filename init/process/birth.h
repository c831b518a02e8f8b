/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a process of PID 1's begins: from the clone to the exec of a role, or to the program of a service. Whoever calls
 * it, PID 1 or its fork server (forkserver.h), the process becomes PID 1's child, with exactly the descriptors named
 * here, in a session of its own, with no signal blocked or handled. What its parent ignores, it ignores.
 */
#ifndef INIT_PROCESS_BIRTH_H
#define INIT_PROCESS_BIRTH_H

#include <stdbool.h>
#include <sys/types.h>

#define BIRTH_ARGS_MAX 8

/* Descriptors are the caller's, its alone to close, and lie above 5. */
struct birth {
	const char *const *argv;	/* after the binary, ended by NULL, BIRTH_ARGS_MAX at most */
	const char *service;		/* its object: launch it (launch.h) instead of executing argv; NULL: execute */
	int null_fd;			/* /dev/null: becomes 0 */
	int out_fd, err_fd;		/* 1 and 2 */
	int channel_fd;			/* 3 */
	int options_fd;			/* 4; -1: none */
	int payload_fd;			/* 5; -1: none */
	int cgroup_fd;			/* where it is born; -1: where the caller is */
};

/*
 * Remembers the limit of descriptors as it is now, which children get: call before it is raised. `launch` becomes the
 * program of a service's object (init/launch/launch.h).
 */
void birth_init(void (*launch)(const char *service) __attribute__((noreturn)));

/* Every signal at its default and none blocked, whatever this process was started with: the kernel's own, too. */
void birth_default_signals(void);

/* `for_parent`: the child is the caller's parent's. The child's pid, or negative errno. Returns in the caller only. */
pid_t birth_clone(const struct birth *birth, bool for_parent);

#endif
