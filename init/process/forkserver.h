/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that forks for PID 1. To fork is to copy what describes one's memory, and afterwards to copy each page that
 * is written to: from PID 1 with its tables that is most of what a start costs. So PID 1 forks once, before it has read
 * anything, and that small process forks again for each start; the children are PID 1's own (CLONE_PARENT), which
 * alone reaps them. It knows nothing, decides nothing, and may be killed: PID 1 then forks by itself, as it does
 * when there is none.
 */
#ifndef INIT_PROCESS_FORKSERVER_H
#define INIT_PROCESS_FORKSERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "birth.h"

/* It answers within this time, or is killed. */
#define FORKSERVER_ANSWER_MS 1000
/* After that, PID 1 forks by itself for so long before it makes another. */
#define FORKSERVER_AGAIN_NS  (2 * 1000000000LL)
/* What a start may consist of; with more, PID 1 forks by itself. */
#define FORKSERVER_SIZE_MAX  65536

/*
 * Begins it; without it (no memory, no processes) all works as well. `prepare` runs in it once, before its first fork.
 */
void forkserver_begin(void (*prepare)(void));

/*
 * As birth_clone(): the pid of PID 1's new child; null_fd need not be set. -ETIMEDOUT or -ECONNRESET: it was killed or
 * ended over this, so the child may be there or not: what is in its cgroup must go, and it finds its channel closed.
 */
pid_t forkserver_start(const struct birth *birth);

/* A process that PID 1 has reaped and does not know: true if it was this. */
bool forkserver_reaped(pid_t pid, int status);

/* No start is to come but a few: it ends. */
void forkserver_end(void);

#endif
