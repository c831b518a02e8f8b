/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot plan as a pure state machine: nodes (stages and services), what they need, deadlines, retries, backoff,
 * held, and the order of stopping. It starts nothing itself: inputs go in with the time they happened, actions come
 * out of a bounded queue, and PID 1 performs them. So the whole of it is tested without a process.
 */
#ifndef INIT_PLAN_PLAN_H
#define INIT_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "input.h"
#include "state.h"
#include "text.h"

/* Allocates for the configuration's nodes; config must outlive the plan. 0 or -ENOMEM. */
int plan_init(struct plan *plan, const struct config *config);
void plan_deinit(struct plan *plan);

/* All that is random comes from this number; without it, from 0. */
void plan_seed(struct plan *plan, uint64_t seed);

/* The node with this name: 0 or -ENOENT. */
int plan_find(const struct plan *plan, const char *name, size_t *ret);

/* Moves on everything that can move at `now`: call after inputs and when plan_due_ns() has come. */
void plan_step(struct plan *plan, int64_t now);

/* Takes one action from the queue. */
bool plan_next(struct plan *plan, struct plan_action *ret);

/* When plan_step() has something to do although no input comes; 0: never. */
int64_t plan_due_ns(const struct plan *plan);

/* Stops every node, each after the nodes that depend on it; ends with PLAN_DOWN. */
void plan_shutdown(struct plan *plan, int64_t now);

/* Every process that is left, or is asked to end from now on, gets SIGKILL after grace_ns at the latest. */
void plan_hurry(struct plan *plan, int64_t grace_ns, int64_t now);

#endif
