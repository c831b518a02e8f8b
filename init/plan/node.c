/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements node.h: the change of state (the one place that updates the plan's counters and marks), the start, the
 * stop, and when a failed node is tried again.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node.h"

#define STAGE_GRACE_NS (PLAN_STAGE_GRACE_MS * PLAN_MS)

void plan_push(struct plan *plan, enum plan_action_kind kind, size_t node, int sig)
{
	struct plan_action *action;

	/* The owner drains the queue after every input, so it cannot fill; were it full, the oldest action is lost. */
	if (plan->count == plan->capacity) {
		plan->head = (plan->head + 1) % plan->capacity;
		plan->count--;
	}
	action = &plan->queue[(plan->head + plan->count++) % plan->capacity];
	action->kind = kind;
	action->node = (uint16_t)node;
	action->signal = sig;
	action->state = kind == PLAN_BOOT || kind == PLAN_HELD_OVER || kind == PLAN_DOWN ? NODE_WAITING
										      : plan->nodes[node].state;
}

size_t plan_index(const struct plan *plan, const struct plan_node *node)
{
	return (size_t)(node - plan->nodes);
}

void plan_mark(struct plan *plan, const struct plan_node *node)
{
	graph_mark(&plan->graph, plan_index(plan, node));
}

bool plan_is_service(const struct plan_node *node)
{
	return node->config->kind == NODE_SERVICE;
}

bool plan_satisfied(enum node_state state)
{
	return state == NODE_DONE || state == NODE_SKIPPED || state == NODE_READY;
}

bool plan_settled(enum node_state state)
{
	return plan_satisfied(state) || plan_hopeless(state) || state == NODE_STOPPED;
}

bool plan_hopeless(enum node_state state)
{
	return state == NODE_FAILED || state == NODE_BLOCKED || state == NODE_DISABLED;
}

bool plan_counts(const struct plan_node *node)
{
	return node->config->required && !(node->config->kind == NODE_STAGE && node->config->when == WHEN_HELD);
}

const char *plan_state_words(enum node_state state)
{
	switch (state) {
	case NODE_FAILED:   return "failed";
	case NODE_BLOCKED:  return "is blocked";
	case NODE_DISABLED: return "is disabled";
	case NODE_STOPPING: return "is stopping";
	case NODE_STOPPED:  return "was stopped";
	default:            return "is not ready";
	}
}

static bool is_bad(enum node_state state)
{
	return state == NODE_FAILED || state == NODE_BLOCKED;
}

void plan_set_state(struct plan *plan, struct plan_node *node, enum node_state state, const char *fmt, ...)
{
	const uint16_t *dependents;
	size_t n = graph_dependents(&plan->graph, plan_index(plan, node), &dependents);
	char reason[NODE_REASON_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	memcpy(node->reason, reason, sizeof(reason));
	if (plan_counts(node)) {
		plan->n_bad += (size_t)is_bad(state) - (size_t)is_bad(node->state);
		plan->n_open += (size_t)!plan_settled(state) - (size_t)!plan_settled(node->state);
		plan->unjudged = true;
	}
	node->state = state;
	plan_push(plan, PLAN_CHANGED, plan_index(plan, node), 0);
	plan_mark(plan, node);
	for (size_t i = 0; i < n; i++)
		graph_mark(&plan->graph, dependents[i]);
}

bool plan_preparing(const struct plan_node *node)
{
	return node->config->prepare_ms && !node->launched_ns;
}

void plan_begin(struct plan *plan, struct plan_node *node, int64_t now)
{
	node->attempts++;
	node->starts++;
	node->started_ns = now;
	if (!node->first_started_ns)
		node->first_started_ns = now;
	node->ended_ns = 0;
	node->next_ns = 0;
	node->launched_ns = 0;
	node->kill_ns = 0;
	node->overdue = false;
	node->restart = node->follows = node->disable = false;
	node->told = false;
	node->ending = ENDING_ASKED;
	node->process = true;
	plan_set_state(plan, node, NODE_RUNNING, "%s", "");
	plan_push(plan, PLAN_START, plan_index(plan, node), 0);
}

void plan_tell(struct plan *plan, struct plan_node *node, int64_t now)
{
	const struct config_node *config = node->config;
	int64_t grace = plan_is_service(node) ? config->stop_grace_ms * PLAN_MS : STAGE_GRACE_NS;

	if (plan->hurry && grace > plan->hurry_grace_ns)
		grace = plan->hurry_grace_ns;
	if (grace > 0)
		plan_push(plan, PLAN_SIGNAL, plan_index(plan, node),
			  plan_is_service(node) ? config->stop_signal : SIGTERM);
	grace = grace > 0 ? grace : 1;
	/* A second request does not extend the grace. */
	if (!node->kill_ns || now + grace < node->kill_ns)
		node->kill_ns = now + grace;
	node->told = true;
	plan_mark(plan, node);
}

/* ---- trying again ----------------------------------------------------------------------------------------------- */

/* splitmix64: the jitter only has to differ between machines, and be reproducible from its seed. */
static uint64_t random_next(struct plan *plan)
{
	uint64_t z = plan->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* min * 2^(attempts-1), at most max, plus up to the jitter: nodes that failed together retry at different times. */
static int64_t wait_ns(struct plan *plan, const struct plan_node *node, bool slow)
{
	const struct config_node *config = node->config;
	int64_t delay = config->retry_min_ms > 0 ? config->retry_min_ms : 1;

	for (unsigned i = 1; i < node->attempts && delay < config->retry_max_ms; i++)
		delay *= 2;
	if (config->retry_max_ms > 0 && (slow || delay > config->retry_max_ms))
		delay = config->retry_max_ms;
	delay *= PLAN_MS;
	if (config->retry_jitter_permille)
		delay += delay / 1000 * (int64_t)config->retry_jitter_permille / 1024 *
			 (int64_t)(random_next(plan) >> 54);
	return delay;
}

/* Counts a restart. True: more than `burst` within burst_ms. */
static bool is_burst(struct plan_node *node, int64_t now)
{
	const struct config_node *config = node->config;

	if (!config->burst)
		return false;
	if (!node->restarts || now - node->burst_ns >= config->burst_ms * PLAN_MS) {
		node->burst_ns = now;
		node->restarts = 0;
	}
	if (node->restarts > config->burst)
		return true;
	return ++node->restarts > config->burst;
}

void plan_fail_or_retry(struct plan *plan, struct plan_node *node, bool never, const char *why, int64_t now)
{
	const struct config_node *config = node->config;
	bool burst = !never && is_burst(node, now);
	char often[96] = "";
	int room;

	node->ended_ns = now;
	if (burst)
		snprintf(often, sizeof(often), "; more than %u restarts in %lld s%s", config->burst,
			 (long long)(config->burst_ms / 1000), config->burst_fails ? "" : ", slowed down");
	room = NODE_REASON_MAX - 1 - (int)strlen(often);	/* the addition is never cut */
	if (never || (config->retry_limit && node->attempts >= config->retry_limit) || (burst && config->burst_fails)) {
		plan_set_state(plan, node, NODE_FAILED, "%.*s%s", room, why, often);
		return;
	}
	node->next_ns = now + wait_ns(plan, node, burst);
	plan_set_state(plan, node, NODE_RETRYING, "%.*s%s", room, why, often);
}
