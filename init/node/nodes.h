/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starts and signals the processes of the plan's nodes, as the plan requests. A process exits; a node ends when the
 * last process of its cgroup has exited. Only the node's end is reported to the plan.
 */
#ifndef INIT_NODE_NODES_H
#define INIT_NODE_NODES_H

#include <stdbool.h>
#include <stddef.h>

#include "init/lib/config.h"
#include "init/plan/plan.h"

struct child;

/* Call before the loop; both are kept. 0 or -ENOMEM. */
int nodes_init(const struct config *config, struct plan *plan);

/* By node: the sealed memfd with its options, -1: none; its live process, or NULL. */
const int *nodes_options(void);
struct child *const *nodes_children(void);

/* PLAN_START: queues the node; nodes_turn() starts its process. */
void nodes_start(size_t node);

/* PLAN_SIGNAL: signals the node, after starting it if it is still queued. SIGKILL goes to its whole cgroup. */
void nodes_signal(size_t node, int sig);

/* Starts a few queued nodes; failures are reported to the plan at once. */
void nodes_turn(void);

/* Whether nodes are still queued. */
bool nodes_waiting(void);

/* For cgroup_node_init(): the node's cgroup is empty; if its process has exited, the node has ended. */
void nodes_ended(size_t node);

#endif
