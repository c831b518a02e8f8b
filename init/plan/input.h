/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inputs of the plan: a node's process ended or became ready, an operator starts or stops a node. Each records what
 * it means for its node; plan_step() does the rest. Include plan.h.
 */
#ifndef INIT_PLAN_INPUT_H
#define INIT_PLAN_INPUT_H

#include "state.h"

void plan_ended(struct plan *plan, size_t node, const struct process_exit *how, int64_t now);
void plan_ready(struct plan *plan, size_t node, int64_t now);
/* The service said that it is alive (WATCHDOG=1). */
void plan_alive(struct plan *plan, size_t node, int64_t now);
/* It appeared ready, but what had to be done then failed: it is stopped, and that counts as its failure. */
void plan_unready(struct plan *plan, size_t node, const char *why, int64_t now);
/* The service is there but does not work: it is stopped, and that counts as its failure. */
void plan_unhealthy(struct plan *plan, size_t node, const char *why, int64_t now);
/* The service said that it ends by itself (STOPPING=1); it has its grace for that. */
void plan_stopping(struct plan *plan, size_t node, int64_t now);
/* The program was executed. From here a service has its ready_deadline_s, if preparing it has a deadline of its own. */
void plan_launched(struct plan *plan, size_t node, int64_t now);
/* PID 1 had no process or descriptor to give: tried again soon, and not counted as the node's failure. */
void plan_not_started(struct plan *plan, size_t node, const char *why, int64_t now);
/*
 * 0, -EINVAL, -EALREADY, -ESHUTDOWN as in boot.h. A start also starts what the node needs and wants, if that was
 * stopped or is disabled; a stop first stops what follows the node.
 */
int plan_start(struct plan *plan, size_t node, int64_t now);
int plan_stop(struct plan *plan, size_t node, bool again, int64_t now);
/*
 * The configuration says whether a service (enabled_if) is to run; only a change of that does anything. What was
 * stopped by hand stays stopped, what was started by hand though it is off runs until it is switched on and off again.
 */
void plan_enable(struct plan *plan, size_t node, bool on, const char *why);

#endif
