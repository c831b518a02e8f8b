/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One node of the plan and the moves it can make, for the plan's own files; everybody else wants plan.h. */
#ifndef INIT_PLAN_NODE_H
#define INIT_PLAN_NODE_H

#include "state.h"

#define PLAN_MS 1000000LL

void plan_push(struct plan *plan, enum plan_action_kind kind, size_t node, int sig);
size_t plan_index(const struct plan *plan, const struct plan_node *node);
void plan_mark(struct plan *plan, const struct plan_node *node);

/* Changes the state, tells it, and marks the node and all that may wait for it. */
void plan_set_state(struct plan *plan, struct plan_node *node, enum node_state state, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

bool plan_is_service(const struct plan_node *node);
/* A container whose image may still be on its way. */
bool plan_preparing(const struct plan_node *node);
/* Who needs it may start. */
bool plan_satisfied(enum node_state state);
/* It has come to an end either way, for who only wants to come after it. */
bool plan_settled(enum node_state state);
/* Who needs it is blocked. */
bool plan_hopeless(enum node_state state);
/* Its failure holds the boot. */
bool plan_counts(const struct plan_node *node);
/* "failed", "is blocked" and so on, for the reason of another node. */
const char *plan_state_words(enum node_state state);

void plan_begin(struct plan *plan, struct plan_node *node, int64_t now);
/* Asks the node's process to end, and notes when it will be made to. */
void plan_tell(struct plan *plan, struct plan_node *node, int64_t now);
/* A stage's attempt failed, or a service ended and its policy wants it back. */
void plan_fail_or_retry(struct plan *plan, struct plan_node *node, bool never, const char *why, int64_t now);

#endif
