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
/* The service sent a keep-alive (WATCHDOG=1). */
void plan_alive(struct plan *plan, size_t node, int64_t now);
/* A when_ready step failed: the service is stopped, and that counts as its failure. */
void plan_unready(struct plan *plan, size_t node, const char *why, int64_t now);
/* A health check failed: the service is stopped, and that counts as its failure. */
void plan_unhealthy(struct plan *plan, size_t node, const char *why, int64_t now);
/* The service reported that it is ending (STOPPING=1); it has its stop_grace_s for that. */
void plan_stopping(struct plan *plan, size_t node, int64_t now);
/* The program was executed. A service whose preparation has its own deadline has ready_deadline_s from here on. */
void plan_launched(struct plan *plan, size_t node, int64_t now);
/* The node's attempt has done so many bytes of its work. */
void plan_progress(struct plan *plan, size_t node, uint64_t bytes, int64_t now);
/* PID 1 could not start a process (no descriptor, no memory): tried again soon, not counted as the node's failure. */
void plan_not_started(struct plan *plan, size_t node, const char *why, int64_t now);
/* What a stage has done is no longer so, such as a file system that has become read-only: it has failed for good. */
void plan_lost(struct plan *plan, size_t node, const char *why, int64_t now);
/*
 * 0, -EINVAL, -EALREADY, -ESHUTDOWN as in boot.h. A start also starts the node's needs and wants that are stopped or
 * disabled; a stop first stops the nodes that follow this one. again: start it once it has stopped.
 */
int plan_start(struct plan *plan, size_t node, int64_t now);
int plan_stop(struct plan *plan, size_t node, bool again, int64_t now);
/*
 * The configuration switches a service (enabled_if) on or off; only a change has an effect. A service stopped by an
 * operator stays stopped; one started by an operator while off runs until it is switched on and off again.
 */
void plan_enable(struct plan *plan, size_t node, bool on, const char *why);

#endif
