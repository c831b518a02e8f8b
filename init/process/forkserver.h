/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fork server: a process that forks for PID 1. fork() copies the page tables and afterwards each page that is
 * written to: from PID 1 with its tables that is most of the cost of a start. So PID 1 forks once, before it has read
 * anything, and that small process forks again for each start; the children are PID 1's (CLONE_PARENT), which alone
 * reaps them. The fork server holds no state, decides nothing and may be killed: without it PID 1 forks by itself.
 */
#ifndef INIT_PROCESS_FORKSERVER_H
#define INIT_PROCESS_FORKSERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "birth.h"

/* It is killed if it does not answer within this time. */
#define FORKSERVER_ANSWER_MS 1000
/* PID 1 starts another one this long after the old one exited. */
#define FORKSERVER_AGAIN_NS  (2 * 1000000000LL)
/* Bytes of a request; for a larger one PID 1 forks by itself. */
#define FORKSERVER_SIZE_MAX  65536

/* Starts it, if it can: PID 1 works without it. `prepare` runs in it once, before its first fork. */
void forkserver_begin(void (*prepare)(void));

/*
 * Returns the pid of PID 1's new child, as birth_clone(); null_fd is ignored. Waits up to FORKSERVER_ANSWER_MS.
 * -ETIMEDOUT or -ECONNRESET: the fork server was killed or exited meanwhile, and the child may exist: the caller must
 * kill its cgroup and close its channel.
 */
pid_t forkserver_start(const struct birth *birth);

/* Call for a reaped process that is not in the table of children; returns true if it was the fork server. */
bool forkserver_reaped(pid_t pid, int status);

/* Lets it exit and starts no other; PID 1 forks by itself from now on. */
void forkserver_end(void);

#endif
