/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes of the plan's nodes: started and signalled as the plan asks. A process exits, a node ends: when the
 * last process of its cgroup has exited, not when the one that was started has. The plan hears of the end alone.
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

/* For cgroup_node_init(): the cgroup of a node whose process has exited is empty, so the node has ended. */
void nodes_ended(size_t node);

#endif
