/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes of the plan's nodes: started and signalled as the plan asks, and told of to it. A node has ended when
 * the last process of its cgroup has, whatever becomes of the one that was started.
 */
#ifndef INIT_NODE_NODES_H
#define INIT_NODE_NODES_H

#include <stdbool.h>
#include <stddef.h>

#include "init/lib/config.h"
#include "init/plan/plan.h"

struct child;

/* Before the loop; both are kept. 0 or -ENOMEM. */
int nodes_init(const struct config *config, struct plan *plan);

/* The sealed memfd with each node's options, -1: it has none; and the live process of each, or NULL. */
const int *nodes_options(void);
struct child *const *nodes_children(void);

/* PLAN_START: its process is started by nodes_turn(), after those that wait already (starts.h). */
void nodes_start(size_t node);

/* PLAN_SIGNAL; one that still waits is started before. SIGKILL means its whole cgroup. */
void nodes_signal(size_t node, int sig);

/* Starts a few of those that wait. What cannot be started is told to the plan at once. */
void nodes_turn(void);

/* Whether some are left for the next turn. */
bool nodes_waiting(void);

/* For cgroup_node_init(): nothing is left in the cgroup of a node that has ended. */
void nodes_gone(size_t node);

#endif
