/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the `when_ready` steps of a service, such as setting the mode of its socket, after it appears ready and before
 * the nodes that need it start. A separate process runs them as root; a failed step is a failure of the service.
 */
#ifndef INIT_NODE_WHEN_READY_H
#define INIT_NODE_WHEN_READY_H

#include <stddef.h>

struct config;
struct plan;

/* Maximum number of processes at once. */
size_t when_ready_children(const struct config *config);

/* Call before the loop. Both are kept. 0 or -ENOMEM. */
int when_ready_init(const struct config *config, struct plan *plan);

/* Call when the service appears ready: reports it ready to the plan, at once or when its steps are done. */
void when_ready_begin(size_t node);

/* Call when the service's process has exited: kills the steps without reporting their result. */
void when_ready_forget(size_t node);

#endif
