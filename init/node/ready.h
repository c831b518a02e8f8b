/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detects that a service is ready: it writes a newline to a descriptor, it sends READY=1 to the notify socket, or its
 * probe succeeds (probe.h), which is also how a path and a TCP port are looked at. One watch for each node, in a table
 * allocated before the loop. Also handles the service's other messages to that socket.
 */
#ifndef INIT_NODE_READY_H
#define INIT_NODE_READY_H

#include <stddef.h>

#include "init/plan/plan.h"

/* became_ready is called from the loop, at most once for each start. Both are kept. 0 or negative errno. */
int ready_init(struct plan *plan, void (*became_ready)(size_t node));

/*
 * Call before the start of a service with `ready.fd`. Returns the descriptor for its process, or negative errno;
 * ready_given() after the fork closes it.
 */
int ready_pipe(size_t node);
void ready_given(size_t node);

/* Call before the start of a service with `ready` `notify`: READY=1 may arrive before PID 1 sees the program start. */
void ready_expect(size_t node);

/* Call when the service's program was executed: starts watching as configured. */
void ready_watch(size_t node);
void ready_forget(size_t node);

/* Call when its PROBE_READY succeeded. */
void ready_probed(size_t node);

#endif
