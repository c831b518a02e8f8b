/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements plan.h. plan_step() is a fixed point: it looks at every node until nothing changes, which takes at most
 * as many rounds as the plan is deep. Helpers first, public functions last.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

#define MS 1000000LL

/* A service that was ready for this long has forgotten its earlier failures. */
#define STABLE_NS (60000 * MS)
/* When PID 1 itself could not start a process. */
#define NOT_STARTED_RETRY_NS (1000 * MS)
/* A stage gets this long between SIGTERM and SIGKILL. */
#define STAGE_GRACE_NS (2000 * MS)

static void push(struct plan *plan, enum plan_action_kind kind, size_t node, int sig)
{
	struct plan_action *action;

	/* The owner drains the queue after every input, so it cannot fill; were it ever full, the oldest news goes. */
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

static size_t index_of(const struct plan *plan, const struct plan_node *node)
{
	return (size_t)(node - plan->nodes);
}

static void set_state(struct plan *plan, struct plan_node *node, enum node_state state, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void set_state(struct plan *plan, struct plan_node *node, enum node_state state, const char *fmt, ...)
{
	char reason[NODE_REASON_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	memcpy(node->reason, reason, sizeof(reason));
	node->state = state;
	push(plan, PLAN_CHANGED, index_of(plan, node), 0);
}

static bool is_service(const struct plan_node *node)
{
	return node->config->kind == NODE_SERVICE;
}

static bool satisfied(const struct plan_node *node)
{
	switch (node->state) {
	case NODE_DONE:
	case NODE_SKIPPED:
	case NODE_READY:
		return true;
	default:
		return false;
	}
}

/* It has come to an end either way, for who only wants to come after it. */
static bool settled(const struct plan_node *node)
{
	return satisfied(node) || node->state == NODE_FAILED || node->state == NODE_BLOCKED ||
	       node->state == NODE_DISABLED || node->state == NODE_STOPPED;
}

static bool hopeless(const struct plan_node *node)
{
	return node->state == NODE_FAILED || node->state == NODE_BLOCKED || node->state == NODE_DISABLED;
}

/* min * 2^(attempts-1), at most max. */
static int64_t backoff_ns(const struct config_node *config, unsigned attempts)
{
	int64_t delay = config->retry_min_ms > 0 ? config->retry_min_ms : 1;

	for (unsigned i = 1; i < attempts && delay < config->retry_max_ms; i++)
		delay *= 2;
	if (delay > config->retry_max_ms && config->retry_max_ms > 0)
		delay = config->retry_max_ms;
	return delay * MS;
}

static void start(struct plan *plan, struct plan_node *node, int64_t now)
{
	node->attempts++;
	node->starts++;
	node->started_ns = now;
	if (!node->first_started_ns)
		node->first_started_ns = now;
	node->ended_ns = 0;
	node->next_ns = 0;
	node->kill_ns = 0;
	node->overdue = false;
	node->restart = false;
	node->process = true;
	set_state(plan, node, NODE_RUNNING, "%s", "");
	push(plan, PLAN_START, index_of(plan, node), 0);
}

/* Asks a process to end, and notes when it will be made to. */
static void stop(struct plan *plan, struct plan_node *node, int64_t now)
{
	int64_t grace = is_service(node) ? node->config->stop_grace_ms * MS : STAGE_GRACE_NS;

	if (plan->hurry)
		grace = 0;
	if (grace > 0)
		push(plan, PLAN_SIGNAL, index_of(plan, node), is_service(node) ? node->config->stop_signal : SIGTERM);
	node->kill_ns = now + (grace > 0 ? grace : 1);
}

static void fail_or_retry(struct plan *plan, struct plan_node *node, bool never, const char *why, int64_t now)
{
	unsigned limit = node->config->retry_limit;

	node->ended_ns = now;
	if (never || (limit && node->attempts >= limit)) {
		set_state(plan, node, NODE_FAILED, "%s", why);
		return;
	}
	node->next_ns = now + backoff_ns(node->config, node->attempts);
	set_state(plan, node, NODE_RETRYING, "%s", why);
}

/* A waiting node: can it start, or can it never? */
static bool step_waiting(struct plan *plan, struct plan_node *node, int64_t now)
{
	const struct config_node *config = node->config;

	if (config->kind == NODE_STAGE && config->when == WHEN_HELD && !plan->held_once)
		return false;
	for (size_t i = 0; i < config->n_needs; i++) {
		const struct plan_node *need = &plan->nodes[config->needs[i]];

		if (hopeless(need)) {
			set_state(plan, node, NODE_BLOCKED, "needs %s, which %s", need->config->name,
				  need->state == NODE_FAILED ? "failed" :
				  need->state == NODE_BLOCKED ? "is blocked" : "is disabled");
			return true;
		}
	}
	for (size_t i = 0; i < config->n_needs; i++)
		if (!satisfied(&plan->nodes[config->needs[i]]))
			return false;
	for (size_t i = 0; i < config->n_after; i++)
		if (!settled(&plan->nodes[config->after[i]]))
			return false;
	start(plan, node, now);
	return true;
}

static int64_t deadline_ns(const struct plan_node *node)
{
	int64_t ms = is_service(node) ? node->config->ready_deadline_ms : node->config->deadline_ms;

	return ms > 0 && node->state == NODE_RUNNING && !node->overdue ? node->started_ns + ms * MS : 0;
}

static bool step_node(struct plan *plan, struct plan_node *node, int64_t now)
{
	int64_t deadline = deadline_ns(node);

	if (node->kill_ns && now >= node->kill_ns && node->process) {
		node->kill_ns = 0;
		push(plan, PLAN_SIGNAL, index_of(plan, node), SIGKILL);
	}
	if (deadline && now >= deadline && node->process) {
		node->overdue = true;
		stop(plan, node, now);
	}
	if (plan->state == BOOT_STOPPING)
		return false;
	if (node->state == NODE_RETRYING && now >= node->next_ns && !node->process) {
		start(plan, node, now);
		return true;
	}
	if (node->state == NODE_WAITING)
		return step_waiting(plan, node, now);
	return false;
}

static bool counts(const struct plan_node *node)
{
	return node->config->required && !(node->config->kind == NODE_STAGE && node->config->when == WHEN_HELD);
}

static void set_boot(struct plan *plan, enum boot_state state, int64_t now)
{
	if (plan->state == state)
		return;
	plan->state = state;
	if (!plan->ended_ns && (state == BOOT_BOOTED || state == BOOT_HELD))
		plan->ended_ns = now;
	push(plan, PLAN_BOOT, 0, 0);
}

/*
 * Held as long as something required has failed for good; of several, the first that failed gives the reason, and a
 * failure goes before what it blocks.
 */
static void judge_boot(struct plan *plan, int64_t now)
{
	const struct plan_node *bad = NULL;
	bool complete = true;

	if (plan->broken)
		return;
	for (size_t i = 0; i < plan->n_nodes; i++) {
		const struct plan_node *node = &plan->nodes[i];

		if (!counts(node))
			continue;
		if (node->state == NODE_FAILED && (!bad || bad->state != NODE_FAILED || node->ended_ns < bad->ended_ns))
			bad = node;
		if (node->state == NODE_BLOCKED && !bad)
			bad = node;
		if (!settled(node))
			complete = false;
	}
	if (bad) {
		bool again = plan->state == BOOT_HELD;
		char reason[NODE_REASON_MAX];

		snprintf(reason, sizeof(reason), "%s: %.*s", bad->config->name, NODE_REASON_MAX - NODE_NAME_MAX - 4,
			 bad->reason);
		if (!again && plan->config->held_action != HELD_HOLD)
			plan->held_due_ns = now + plan->config->held_delay_ms * MS;
		if (again && strcmp(reason, plan->reason))
			push(plan, PLAN_BOOT, 0, 0);	/* still held, but for another reason now */
		memcpy(plan->reason, reason, sizeof(reason));
		plan->held_once = true;
		set_boot(plan, BOOT_HELD, now);
	} else if (complete) {
		plan->held_due_ns = 0;
		set_boot(plan, BOOT_BOOTED, now);
	} else if (plan->state == BOOT_HELD) {
		plan->held_due_ns = 0;
		set_boot(plan, BOOT_BOOTING, now);
	}
}

/* Depends on `node`, by need or by order. */
static bool depends(const struct plan *plan, size_t on, const struct plan_node *node)
{
	(void)plan;
	for (size_t i = 0; i < node->config->n_needs; i++)
		if (node->config->needs[i] == on)
			return true;
	for (size_t i = 0; i < node->config->n_after; i++)
		if (node->config->after[i] == on)
			return true;
	return false;
}

/* The shutdown's walk: a node is told to stop once everything that depends on it is down. */
static bool step_down(struct plan *plan, size_t index, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->down)
		return false;
	for (size_t i = 0; i < plan->n_nodes; i++)
		if (!plan->nodes[i].down && depends(plan, index, &plan->nodes[i]))
			return false;
	if (!node->process) {
		node->down = true;
		return true;
	}
	if (node->state != NODE_STOPPING) {
		set_state(plan, node, NODE_STOPPING, "shutdown");
		stop(plan, node, now);
	}
	return false;
}

void plan_step(struct plan *plan, int64_t now)
{
	bool changed = true;
	bool all_down = true;

	while (changed) {
		changed = false;
		for (size_t i = 0; i < plan->n_nodes; i++) {
			changed |= step_node(plan, &plan->nodes[i], now);
			if (plan->state == BOOT_STOPPING)
				changed |= step_down(plan, i, now);
		}
		if (!changed && plan->state != BOOT_STOPPING) {
			bool held_once = plan->held_once;

			judge_boot(plan, now);
			changed = plan->held_once != held_once;
		}
	}
	if (plan->state == BOOT_HELD && plan->held_due_ns && now >= plan->held_due_ns) {
		plan->held_due_ns = 0;
		push(plan, PLAN_HELD_OVER, 0, 0);
	}
	if (plan->state != BOOT_STOPPING)
		return;
	for (size_t i = 0; i < plan->n_nodes; i++)
		all_down &= plan->nodes[i].down;
	if (all_down)
		push(plan, PLAN_DOWN, 0, 0);
}

bool plan_next(struct plan *plan, struct plan_action *ret)
{
	if (!plan->count)
		return false;
	*ret = plan->queue[plan->head];
	plan->head = (plan->head + 1) % plan->capacity;
	plan->count--;
	return true;
}

static void sooner(int64_t *due, int64_t candidate)
{
	if (candidate && (!*due || candidate < *due))
		*due = candidate;
}

int64_t plan_due_ns(const struct plan *plan)
{
	int64_t due = 0;

	for (size_t i = 0; i < plan->n_nodes; i++) {
		const struct plan_node *node = &plan->nodes[i];

		if (node->process) {
			sooner(&due, node->kill_ns);
			sooner(&due, deadline_ns(node));
		}
		if (node->state == NODE_RETRYING && plan->state != BOOT_STOPPING)
			sooner(&due, node->next_ns);
	}
	if (plan->state == BOOT_HELD)
		sooner(&due, plan->held_due_ns);
	return due;
}

static void stage_exited(struct plan *plan, struct plan_node *node, const struct plan_exit *how, const char *why,
			 int64_t now)
{
	if (!node->overdue && how->status == STAGE_DONE) {
		node->ended_ns = now;
		set_state(plan, node, how->skipped ? NODE_SKIPPED : NODE_DONE, "%s", why);
		return;
	}
	fail_or_retry(plan, node, !node->overdue && how->status == STAGE_NEVER, why, now);
}

static void service_exited(struct plan *plan, struct plan_node *node, const struct plan_exit *how, const char *why,
			   bool was_ready, int64_t now)
{
	bool clean = !node->overdue && how->status == 0;

	if (was_ready && now - node->ended_ns >= STABLE_NS)
		node->attempts = 1;
	if (!node->overdue && how->status == STAGE_NEVER) {
		fail_or_retry(plan, node, true, why, now);
		return;
	}
	if (node->config->restart == RESTART_NEVER || (node->config->restart == RESTART_ON_FAILURE && clean)) {
		node->ended_ns = now;
		set_state(plan, node, clean ? NODE_DONE : NODE_FAILED, "%s", why);
		return;
	}
	fail_or_retry(plan, node, false, why, now);
}

void plan_exited(struct plan *plan, size_t index, const struct plan_exit *how, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];
	bool was_ready = node->state == NODE_READY;
	char why[NODE_REASON_MAX];

	plan_describe(node, how, why, sizeof(why));
	node->process = false;
	node->kill_ns = 0;
	if (plan->state == BOOT_STOPPING) {
		node->ended_ns = now;
		set_state(plan, node, NODE_STOPPED, "%s", why);
	} else if (node->state == NODE_STOPPING) {
		node->ended_ns = now;
		node->attempts = 0;
		if (node->restart)
			set_state(plan, node, NODE_WAITING, "restart");
		else
			set_state(plan, node, NODE_STOPPED, "on request; %s", why);
	} else if (is_service(node)) {
		service_exited(plan, node, how, why, was_ready, now);
	} else {
		stage_exited(plan, node, how, why, now);
	}
	node->overdue = false;
}

void plan_ready(struct plan *plan, size_t index, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->state != NODE_RUNNING || !is_service(node) || !node->process || node->overdue)
		return;
	node->ended_ns = now;
	set_state(plan, node, NODE_READY, "%s", "");
}

void plan_not_started(struct plan *plan, size_t index, const char *why, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	node->process = false;
	if (node->attempts)
		node->attempts--;
	node->next_ns = now + NOT_STARTED_RETRY_NS;
	set_state(plan, node, NODE_RETRYING, "not started: %s", why);
}

/* What was blocked by a node that gets another chance gets one too. */
static void unblock(struct plan *plan, size_t index)
{
	for (size_t i = 0; i < plan->n_nodes; i++) {
		struct plan_node *node = &plan->nodes[i];

		if (node->state != NODE_BLOCKED)
			continue;
		for (size_t k = 0; k < node->config->n_needs; k++) {
			if (node->config->needs[k] == index) {
				set_state(plan, node, NODE_WAITING, "%s", "");
				unblock(plan, i);
				break;
			}
		}
	}
}

int plan_start(struct plan *plan, size_t index, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (plan->state == BOOT_STOPPING)
		return -ESHUTDOWN;
	if (node->process) {
		if (node->state == NODE_STOPPING && is_service(node)) {
			node->restart = true;
			return 0;
		}
		return -EALREADY;
	}
	if (node->config->kind == NODE_STAGE && node->state == NODE_WAITING)
		return -EALREADY;
	node->attempts = 0;
	node->manual = true;
	if (node->state == NODE_RETRYING) {
		node->next_ns = now;
		return 0;
	}
	set_state(plan, node, NODE_WAITING, "%s", "");
	unblock(plan, index);
	return 0;
}

int plan_stop(struct plan *plan, size_t index, bool again, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];

	if (plan->state == BOOT_STOPPING)
		return -ESHUTDOWN;
	if (!is_service(node))
		return -EINVAL;
	if (!node->process) {
		if (again)
			return plan_start(plan, index, now);
		if (node->state == NODE_STOPPED || node->state == NODE_DISABLED)
			return -EALREADY;
		set_state(plan, node, NODE_STOPPED, "on request");
		return 0;
	}
	node->restart = again;
	if (node->state == NODE_STOPPING)
		return again ? 0 : -EALREADY;
	set_state(plan, node, NODE_STOPPING, "on request");
	stop(plan, node, now);
	return 0;
}

void plan_shutdown(struct plan *plan, int64_t now)
{
	if (plan->state == BOOT_STOPPING)
		return;
	plan->held_due_ns = 0;
	for (size_t i = 0; i < plan->n_nodes; i++)
		plan->nodes[i].down = false;
	set_boot(plan, BOOT_STOPPING, now);
}

void plan_hurry(struct plan *plan, int64_t now)
{
	plan->hurry = true;
	for (size_t i = 0; i < plan->n_nodes; i++)
		if (plan->nodes[i].process)
			plan->nodes[i].kill_ns = now;
}

int plan_init(struct plan *plan, const struct config *config)
{
	memset(plan, 0, sizeof(*plan));
	plan->config = config;
	plan->n_nodes = config->n_nodes;
	/* One step can bring each node at most a start, a signal, a kill and two changes of state. */
	plan->capacity = config->n_nodes * 8 + 16;
	plan->nodes = calloc(plan->n_nodes ? plan->n_nodes : 1, sizeof(*plan->nodes));
	plan->queue = calloc(plan->capacity, sizeof(*plan->queue));
	if (!plan->nodes || !plan->queue) {
		plan_deinit(plan);
		return -ENOMEM;
	}
	for (size_t i = 0; i < plan->n_nodes; i++) {
		plan->nodes[i].config = &config->nodes[i];
		if (config->nodes[i].kind == NODE_SERVICE && !config->nodes[i].enabled)
			plan->nodes[i].state = NODE_DISABLED;
	}
	return 0;
}

void plan_deinit(struct plan *plan)
{
	free(plan->nodes);
	free(plan->queue);
	memset(plan, 0, sizeof(*plan));
}
