/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements input.h. Each input records what it means for its node and marks it; the step does the rest. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "input.h"
#include "node.h"
#include "tells.h"
#include "text.h"

/* After PID 1 itself failed to start a process. */
#define NOT_STARTED_RETRY_NS (1000 * PLAN_MS)

/* ---- how a process ends ----------------------------------------------------------------------------------------- */

static void stage_exited(struct plan *plan, struct plan_node *node, const struct process_exit *how, const char *why,
			 int64_t now)
{
	if (!node->overdue && how->status == STAGE_DONE) {
		node->ended_ns = now;
		plan_set_state(plan, node, how->skipped ? NODE_SKIPPED : NODE_DONE, "%s", why);
		return;
	}
	plan_fail_or_retry(plan, node, !node->overdue && how->status == STAGE_NEVER, why, now);
}

/* Whether it ended successfully. */
static bool ended_well(const struct plan_node *node, const struct process_exit *how, bool was_ready)
{
	enum ready_kind kind = node->config->ready;

	return !node->overdue && how->status == 0 && node->ending != ENDING_FAILED &&
	       (was_ready || kind == READY_STARTED || kind == READY_EXIT);
}

/* podman exits with 125 on errors of its own: for a container 125 counts only before its program was executed. */
static bool is_final(const struct plan_node *node, const struct process_exit *how)
{
	return how->status == STAGE_NEVER && (!node->config->prepare_ms || !node->launched_ns);
}

static void service_exited(struct plan *plan, struct plan_node *node, const struct process_exit *how, const char *why,
			   bool was_ready, int64_t now)
{
	bool well = ended_well(node, how, was_ready);

	if (was_ready && now - node->ended_ns >= node->config->stable_ms * PLAN_MS)
		node->attempts = 1;
	if (!node->overdue && node->ending != ENDING_FAILED && is_final(node, how)) {
		plan_fail_or_retry(plan, node, true, why, now);
		return;
	}
	if (node->config->restart == RESTART_NEVER ||
	    (well && (node->config->restart == RESTART_ON_FAILURE || node->config->ready == READY_EXIT))) {
		node->ended_ns = now;
		plan_set_state(plan, node, well ? NODE_DONE : NODE_FAILED, "%s", why);
		return;
	}
	plan_fail_or_retry(plan, node, false, why, now);
}

static void stopped(struct plan *plan, struct plan_node *node, const char *why, int64_t now)
{
	node->ended_ns = now;
	node->attempts = 0;
	if (node->restart && node->follows)
		plan_set_state(plan, node, NODE_WAITING, "until its dependencies are ready again");
	else if (node->restart)
		plan_set_state(plan, node, NODE_WAITING, "restart");
	else if (node->disable)
		plan_set_state(plan, node, NODE_DISABLED, "%s", node->reason);
	else
		plan_set_state(plan, node, NODE_STOPPED, "on request; %.*s", NODE_REASON_MAX - 16, why);
}

void plan_ended(struct plan *plan, size_t index, const struct process_exit *how, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];
	bool was_ready = node->state == NODE_READY ||
		(node->state == NODE_STOPPING && node->ending != ENDING_ASKED && node->ended_ns);
	char why[NODE_REASON_MAX];

	/* The reason for stopping it says more than its exit status. */
	if (node->state == NODE_STOPPING && node->ending == ENDING_FAILED && !node->overdue)
		memcpy(why, node->reason, sizeof(why));
	else
		plan_describe(node, how, why, sizeof(why));
	node->process = false;
	node->kill_ns = 0;
	if (plan->state == BOOT_STOPPING) {
		node->ended_ns = now;
		plan_set_state(plan, node, NODE_STOPPED, "%s", why);
	} else if (node->state == NODE_STOPPING && (node->ending == ENDING_ASKED || node->restart)) {
		stopped(plan, node, why, now);
	} else if (plan_is_service(node)) {
		service_exited(plan, node, how, why, was_ready, now);
	} else {
		stage_exited(plan, node, how, why, now);
	}
	node->overdue = false;
	tells_ended(plan, node);
	/* Its dependencies may have waited for it to end first. */
	for (size_t i = 0; i < node->config->n_needs; i++)
		graph_mark(&plan->graph, node->config->needs[i]);
}

void plan_lost(struct plan *plan, size_t index, const char *why, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->state != NODE_DONE || plan_is_service(node) || plan->state == BOOT_STOPPING)
		return;
	node->ended_ns = now;
	plan_set_state(plan, node, NODE_FAILED, "%s", why);
}

void plan_not_started(struct plan *plan, size_t index, const char *why, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	node->process = false;
	if (node->attempts)
		node->attempts--;
	node->next_ns = now + NOT_STARTED_RETRY_NS;
	plan_set_state(plan, node, NODE_RETRYING, "not started: %s", why);
}

/* ---- readiness and health --------------------------------------------------------------------------------------- */

void plan_launched(struct plan *plan, size_t index, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	node->launched_ns = now;
	plan_mark(plan, node);	/* its deadline has changed */
}

void plan_ready(struct plan *plan, size_t index, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->state != NODE_RUNNING || !plan_is_service(node) || !node->process || node->overdue)
		return;
	node->ended_ns = now;
	node->alive_ns = now;
	plan_set_state(plan, node, NODE_READY, "%s", "");
}

void plan_alive(struct plan *plan, size_t index, int64_t now)
{
	/* Its place in the heap stays: when the old time comes, the step finds the later one. */
	plan->nodes[index].alive_ns = now;
}

/* Only more than ever before is progress: attempts that begin again and again get nowhere. */
void plan_progress(struct plan *plan, size_t index, uint64_t bytes, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (bytes <= node->progress_bytes)
		return;
	node->progress_bytes = bytes;
	if (plan_counts(node))
		plan->moved_ns = now;
}

static void ends(struct plan *plan, struct plan_node *node, enum plan_ending ending, const char *why)
{
	node->ending = ending;
	node->restart = false;
	plan_set_state(plan, node, NODE_STOPPING, "%s", why);
}

void plan_unready(struct plan *plan, size_t index, const char *why, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->state != NODE_RUNNING || !node->process || node->overdue || plan->state == BOOT_STOPPING)
		return;
	ends(plan, node, ENDING_FAILED, why);
	plan_tell(plan, node, now);
}

void plan_unhealthy(struct plan *plan, size_t index, const char *why, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->state != NODE_READY || !node->process || plan->state == BOOT_STOPPING)
		return;
	ends(plan, node, ENDING_FAILED, why);
	plan_tell(plan, node, now);
}

void plan_stopping(struct plan *plan, size_t index, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->state != NODE_READY || !node->process || plan->state == BOOT_STOPPING)
		return;
	ends(plan, node, ENDING_ITSELF, "reported STOPPING=1");
	node->told = true;
	node->kill_ns = now + (node->config->stop_grace_ms > 0 ? node->config->stop_grace_ms * PLAN_MS : 1);
}

/* ---- operators -------------------------------------------------------------------------------------------------- */

/* Nodes that this one blocked wait again, now that it may start again. */
static void unblock(struct plan *plan, size_t index)
{
	const uint16_t *dependents;
	size_t n = graph_dependents(&plan->graph, index, &dependents);

	for (size_t i = 0; i < n; i++) {
		struct plan_node *node = &plan->nodes[dependents[i]];

		if (node->state != NODE_BLOCKED)
			continue;
		for (size_t k = 0; k < node->config->n_needs; k++) {
			if (node->config->needs[k] == index) {
				plan_set_state(plan, node, NODE_WAITING, "%s", "");
				unblock(plan, dependents[i]);
				break;
			}
		}
	}
}

static void pull_in(struct plan *plan, size_t index);

static void pull_one(struct plan *plan, size_t index)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->seen)
		return;
	pull_in(plan, index);
	if (node->state == NODE_STOPPING && node->ending == ENDING_ASKED) {
		node->restart = true;
	} else if (node->state == NODE_STOPPED || node->state == NODE_DISABLED) {
		node->attempts = 0;
		plan_set_state(plan, node, NODE_WAITING, "%s", "");
		unblock(plan, index);
	}
}

/* Starts the needs and wants of the node, and theirs, that are stopped or disabled. */
static void pull_in(struct plan *plan, size_t index)
{
	struct plan_node *node = &plan->nodes[index];

	node->seen = true;
	for (size_t i = 0; i < node->config->n_needs; i++)
		pull_one(plan, node->config->needs[i]);
	for (size_t i = 0; i < node->config->n_wants; i++)
		pull_one(plan, node->config->wants[i]);
}

static void pull_in_all(struct plan *plan, size_t index)
{
	for (size_t i = 0; i < plan->n_nodes; i++)
		plan->nodes[i].seen = false;
	pull_in(plan, index);
}

int plan_start(struct plan *plan, size_t index, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (plan->state == BOOT_STOPPING)
		return -ESHUTDOWN;
	if (node->process) {
		if (node->state != NODE_STOPPING || !plan_is_service(node))
			return -EALREADY;
		pull_in_all(plan, index);
		node->restart = true;
		return 0;
	}
	if (node->config->kind == NODE_STAGE && node->state == NODE_WAITING)
		return -EALREADY;
	if (node->config->stage && node->config->stage->once && plan_satisfied(node->state))
		return -EALREADY;
	pull_in_all(plan, index);
	node->attempts = 0;
	node->restarts = 0;
	if (node->state == NODE_RETRYING) {
		node->next_ns = now;
		plan_mark(plan, node);
		return 0;
	}
	plan_set_state(plan, node, NODE_WAITING, "%s", "");
	unblock(plan, index);
	return 0;
}

int plan_stop(struct plan *plan, size_t index, bool again, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];
	bool was_again = node->restart;

	if (plan->state == BOOT_STOPPING)
		return -ESHUTDOWN;
	if (!plan_is_service(node))
		return -EINVAL;
	if (!node->process) {
		if (again)
			return plan_start(plan, index, now);
		if (node->state == NODE_STOPPED || node->state == NODE_DISABLED)
			return -EALREADY;
		plan_set_state(plan, node, NODE_STOPPED, "on request");
		return 0;
	}
	node->restart = again;
	node->follows = false;
	if (node->state == NODE_STOPPING) {
		bool asked = node->ending == ENDING_ASKED;

		node->ending = ENDING_ASKED;
		return again || was_again || !asked ? 0 : -EALREADY;
	}
	plan_set_state(plan, node, NODE_STOPPING, "on request");
	return 0;
}

/* ---- the configuration ------------------------------------------------------------------------------------------ */

static void switch_on(struct plan *plan, size_t index)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->state == NODE_STOPPING && node->disable)
		node->restart = true;	/* takes precedence over disable */
	if (node->state != NODE_DISABLED)
		return;
	node->attempts = 0;
	node->restarts = 0;
	plan_set_state(plan, node, NODE_WAITING, "%s", "");
	unblock(plan, index);
}

static void switch_off(struct plan *plan, struct plan_node *node, const char *why)
{
	switch (node->state) {
	case NODE_STOPPED:
	case NODE_DISABLED:
		return;
	case NODE_STOPPING:
		/* An operator stopped it and did not ask for a restart: it stays stopped. */
		if (!node->restart && node->ending == ENDING_ASKED)
			return;
		node->disable = true;
		node->restart = node->follows = false;
		node->ending = ENDING_ASKED;
		snprintf(node->reason, sizeof(node->reason), "%s", why);
		return;
	default:
		node->disable = node->process;
		plan_set_state(plan, node, node->process ? NODE_STOPPING : NODE_DISABLED, "%s", why);
	}
}

void plan_enable(struct plan *plan, size_t index, bool on, const char *why)
{
	struct plan_node *node = &plan->nodes[index];

	if (plan->state == BOOT_STOPPING || node->switched == (on ? SWITCH_ON : SWITCH_OFF))
		return;
	node->switched = on ? SWITCH_ON : SWITCH_OFF;
	if (on)
		switch_on(plan, index);
	else
		switch_off(plan, node, why);
}
