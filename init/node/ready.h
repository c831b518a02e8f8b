/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When is a service ready? It appears at a path (inotify), accepts on a TCP port (asked on a timer, since nothing
 * tells), writes a newline to a descriptor, has a probe say so, or says READY=1 on the notify socket. One watch for
 * each node, in a table made before the loop. Also what else a service says on that socket.
 */
#ifndef INIT_NODE_READY_H
#define INIT_NODE_READY_H

#include <stddef.h>

#include "init/plan/plan.h"

/* became_ready is called from the loop, at most once for each ready_watch(). 0 or negative errno. */
int ready_init(struct plan *plan, void (*became_ready)(size_t node));

/*
 * Before the start of a service with `ready.fd`: the descriptor that its process gets, to be closed by the caller once
 * that is forked. Negative errno: there is none now.
 */
int ready_pipe(size_t node);

/* Before its start, where `ready` is `notify`: from now on it can say so, be it before its start was heard of. */
void ready_expect(size_t node);

/* The service's program was executed: watch it as its configuration says. */
void ready_watch(size_t node);
void ready_forget(size_t node);

/* Its PROBE_READY was good. */
void ready_probed(size_t node);

#endif
