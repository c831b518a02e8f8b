/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Creates a child of PID 1, from the clone to the exec of a role or of a service's program. Called by PID 1 or by its
 * fork server (forkserver.h), the process becomes PID 1's child, with exactly the descriptors named here, in its own
 * session, with no signal blocked or handled. It ignores the signals that its parent ignores.
 */
#ifndef INIT_PROCESS_BIRTH_H
#define INIT_PROCESS_BIRTH_H

#include <stdbool.h>
#include <sys/types.h>

#define BIRTH_ARGS_MAX 8

/* The caller owns and closes the descriptors, which are above 5. */
struct birth {
	const char *const *argv;	/* after the binary, ended by NULL, BIRTH_ARGS_MAX at most */
	const char *service;		/* JSON object of the service to launch (launch.h); NULL: execute argv */
	int null_fd;			/* /dev/null, becomes descriptor 0 */
	int out_fd, err_fd;		/* become 1 and 2 */
	int channel_fd;			/* becomes 3 */
	int options_fd;			/* becomes 4; -1: none */
	int payload_fd;			/* becomes 5; -1: none */
	int cgroup_fd;			/* folder of the cgroup to start in; -1: the caller's cgroup */
};

/* RLIMIT_NOFILE of every child, as of systemd's services (DefaultLimitNOFILE=); less where the kernel refuses it. */
#define BIRTH_NOFILE_SOFT 1024
#define BIRTH_NOFILE_HARD 524288

/*
 * Opens the file that PID 1 runs, before any other process exists: roles are executed from that descriptor, whatever
 * its path leads to later.
 * `launch` executes the program of a service (init/launch/launch.h).
 */
void birth_init(void (*launch)(const char *service));

/* Closes these descriptors, but not the one that roles are executed from. */
void birth_close(unsigned first, unsigned last);

/* Resets every signal to its default action, those that libc reserves included, and unblocks all. */
void birth_default_signals(void);

/* Returns the child's pid or negative errno, in the caller only. `for_parent`: the child's parent is the caller's. */
pid_t birth_clone(const struct birth *birth, bool for_parent);

#endif
