/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One node of the plan and its transitions, for the plan's own files; others include plan.h. */
#ifndef INIT_PLAN_NODE_H
#define INIT_PLAN_NODE_H

#include "state.h"

#define PLAN_MS 1000000LL

void plan_push(struct plan *plan, enum plan_action_kind kind, size_t node, int sig);
size_t plan_index(const struct plan *plan, const struct plan_node *node);
void plan_mark(struct plan *plan, const struct plan_node *node);

/* Changes the state, reports that, and marks the node and every node that may wait for it. */
void plan_set_state(struct plan *plan, struct plan_node *node, enum node_state state, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

bool plan_is_service(const struct plan_node *node);
/* A container whose image may still be pulled: its program was not executed yet. */
bool plan_preparing(const struct plan_node *node);
/* A node that needs one in this state may start. */
bool plan_satisfied(enum node_state state);
/* A node that wants one in this state, or comes after it, may start. */
bool plan_settled(enum node_state state);
/* A node that needs one in this state is blocked. */
bool plan_hopeless(enum node_state state);
/* Its failure holds the boot. */
bool plan_counts(const struct plan_node *node);
/* The verb of "dependency NAME ...": "failed", "is blocked". */
const char *plan_state_words(enum node_state state);

void plan_begin(struct plan *plan, struct plan_node *node, int64_t now);
/* Sends the stop signal to the node's process and sets when SIGKILL follows. */
void plan_tell(struct plan *plan, struct plan_node *node, int64_t now);
/* A stage's attempt failed, or a service ended and its restart policy applies. never: do not retry. */
void plan_fail_or_retry(struct plan *plan, struct plan_node *node, bool never, const char *why, int64_t now);

#endif
