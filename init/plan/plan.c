/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements plan.h. A step looks at marked nodes until no node is marked. An input marks its node, a change of state
 * marks every node that may wait for it, and a due time marks its node: so a step costs as much as has changed.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"
#include "plan.h"
#include "tells.h"

/* A process that survives SIGKILL hangs in the kernel: after this time a shutdown goes on without it. */
#define STUCK_NS (2000 * PLAN_MS)

/* Starts it once no node is marked any more: a need that is about to stop must not be taken for ready. */
static void start_later(struct plan *plan, struct plan_node *node)
{
	queue_add(&plan->starters, plan_index(plan, node));
}

/* Starts a waiting node if it may start, blocks it if it never can. */
static void step_waiting(struct plan *plan, struct plan_node *node, bool start, int64_t now)
{
	const struct config_node *config = node->config;

	if (config->kind == NODE_STAGE && config->when == WHEN_HELD && !plan->held_once)
		return;
	for (size_t i = 0; i < config->n_needs; i++) {
		const struct plan_node *need = &plan->nodes[config->needs[i]];

		if (plan_hopeless(need->state)) {
			plan_set_state(plan, node, NODE_BLOCKED, "dependency %s %s", need->config->name,
				       plan_state_words(need->state));
			return;
		}
	}
	for (size_t i = 0; i < config->n_needs; i++)
		if (!plan_satisfied(plan->nodes[config->needs[i]].state))
			return;
	for (size_t i = 0; i < config->n_wants; i++)
		if (!plan_settled(plan->nodes[config->wants[i]].state))
			return;
	for (size_t i = 0; i < config->n_after; i++)
		if (!plan_settled(plan->nodes[config->after[i]].state))
			return;
	if (tells_waits(plan, node))
		return;
	if (start)
		plan_begin(plan, node, now);
	else
		start_later(plan, node);
}

/* The first service that the node follows (follows_needs) and that is not ready, or NULL. */
static const struct plan_node *lost_need(const struct plan *plan, const struct plan_node *node)
{
	for (size_t i = 0; node->config->follows_needs && i < node->config->n_needs; i++) {
		const struct plan_node *need = &plan->nodes[node->config->needs[i]];

		if (plan_is_service(need) && !plan_satisfied(need->state))
			return need;
	}
	return NULL;
}

/* Whether a node that follows this one still has a process: then this one ends after it. */
static bool is_followed(const struct plan *plan, size_t index)
{
	const uint16_t *dependents;
	size_t n = graph_dependents(&plan->graph, index, &dependents);

	for (size_t i = 0; i < n; i++) {
		const struct plan_node *other = &plan->nodes[dependents[i]];

		if (!other->process || !other->config->follows_needs)
			continue;
		for (size_t k = 0; k < other->config->n_needs; k++)
			if (other->config->needs[k] == index)
				return true;
	}
	return false;
}

static void step_state(struct plan *plan, size_t index, bool start, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];
	const struct plan_node *lost = lost_need(plan, node);

	switch (node->state) {
	case NODE_WAITING:
		step_waiting(plan, node, start, now);
		break;
	case NODE_RETRYING:
		if (now < node->next_ns || node->process)
			break;
		if (lost)
			plan_set_state(plan, node, NODE_WAITING, "dependency %s %s", lost->config->name,
				       plan_state_words(lost->state));
		else if (tells_waits(plan, node))
			plan_set_state(plan, node, NODE_WAITING, "until another stage of its type has ended");
		else if (start)
			plan_begin(plan, node, now);
		else
			start_later(plan, node);
		break;
	case NODE_RUNNING:
	case NODE_READY:
		if (!lost || !node->process)
			break;
		node->restart = node->follows = true;
		plan_set_state(plan, node, NODE_STOPPING, "dependency %s %s", lost->config->name,
			       plan_state_words(lost->state));
		break;
	case NODE_STOPPING:
		if (!node->told && !is_followed(plan, index))
			plan_tell(plan, node, now);
		break;
	default:
		break;
	}
}

static void went_down(struct plan *plan, const uint16_t *on, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (--plan->nodes[on[i]].up == 0)
			graph_mark(&plan->graph, on[i]);
}

/* When a shutdown stops waiting for a killed process; 0: nothing to wait for. */
static int64_t stuck_ns(const struct plan_node *node)
{
	return node->killed_ns && node->process && !node->down ? node->killed_ns + STUCK_NS : 0;
}

/* Shutdown order: a node is asked to stop once every node that depends on it is down. */
static void step_down(struct plan *plan, size_t index, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];
	bool stuck = stuck_ns(node) && now >= stuck_ns(node);

	if (node->down || node->up)
		return;
	if (stuck)
		plan_set_state(plan, node, NODE_STOPPING, "still running after SIGKILL: left behind");
	if (!node->process || stuck) {
		node->down = true;
		plan->n_down++;
		went_down(plan, node->config->needs, node->config->n_needs);
		went_down(plan, node->config->wants, node->config->n_wants);
		went_down(plan, node->config->after, node->config->n_after);
		return;
	}
	if (node->state != NODE_STOPPING)
		plan_set_state(plan, node, NODE_STOPPING, "shutdown");
	if (!node->told)
		plan_tell(plan, node, now);
}

/* ---- times ------------------------------------------------------------------------------------------------------ */

static int64_t deadline_ns(const struct plan_node *node)
{
	int64_t ms = plan_is_service(node) ? node->config->ready_deadline_ms : node->config->deadline_ms;
	int64_t from = node->started_ns;

	if (plan_preparing(node))
		ms = node->config->prepare_ms;
	else if (node->config->prepare_ms)
		from = node->launched_ns;
	return ms > 0 && node->state == NODE_RUNNING && !node->overdue ? from + ms * PLAN_MS : 0;
}

static int64_t alive_until_ns(const struct plan_node *node)
{
	int64_t ms = node->config->alive_ms;

	return ms > 0 && node->state == NODE_READY ? node->alive_ns + ms * PLAN_MS : 0;
}

static void sooner(int64_t *due, int64_t candidate)
{
	if (candidate && (!*due || candidate < *due))
		*due = candidate;
}

static int64_t node_due_ns(const struct plan *plan, const struct plan_node *node)
{
	int64_t due = 0;

	if (node->process) {
		sooner(&due, node->kill_ns);
		sooner(&due, stuck_ns(node));
		sooner(&due, deadline_ns(node));
		if (plan->state != BOOT_STOPPING)
			sooner(&due, alive_until_ns(node));
	}
	if (node->state == NODE_RETRYING && plan->state != BOOT_STOPPING)
		sooner(&due, node->next_ns);
	return due;
}

static void step_times(struct plan *plan, size_t index, int64_t now)
{
	struct plan_node *node = &plan->nodes[index];
	int64_t deadline = deadline_ns(node), alive = alive_until_ns(node);
	char why[64];

	if (!node->process)
		return;
	if (node->kill_ns && now >= node->kill_ns) {
		node->kill_ns = 0;
		node->killed_ns = plan->state == BOOT_STOPPING ? now : 0;
		plan_push(plan, PLAN_SIGNAL, index, SIGKILL);
	}
	if (deadline && now >= deadline) {
		node->overdue = true;
		plan_tell(plan, node, now);
	}
	if (alive && now >= alive && plan->state != BOOT_STOPPING) {
		snprintf(why, sizeof(why), "watchdog: no keep-alive for %.15g s",
			 (double)node->config->alive_ms / 1000);
		plan_unhealthy(plan, index, why, now);
	}
}

static void step_node(struct plan *plan, size_t index, bool start, int64_t now)
{
	step_times(plan, index, now);
	if (plan->state == BOOT_STOPPING)
		step_down(plan, index, now);
	else
		step_state(plan, index, start, now);
	graph_set_due(&plan->graph, index, node_due_ns(plan, &plan->nodes[index]));
}

/* ---- the boot as a whole ---------------------------------------------------------------------------------------- */

static void set_boot(struct plan *plan, enum boot_state state, int64_t now)
{
	if (plan->state == state)
		return;
	plan->state = state;
	if (!plan->ended_ns && (state == BOOT_BOOTED || state == BOOT_HELD))
		plan->ended_ns = now;
	plan_push(plan, PLAN_BOOT, 0, 0);
}

/* The node that the boot is held for: the one that failed first, or else one that is blocked. */
static const struct plan_node *worst(const struct plan *plan)
{
	const struct plan_node *bad = NULL;

	for (size_t i = 0; i < plan->n_nodes; i++) {
		const struct plan_node *node = &plan->nodes[i];

		if (!plan_counts(node))
			continue;
		if (node->state == NODE_FAILED && (!bad || bad->state != NODE_FAILED || node->ended_ns < bad->ended_ns))
			bad = node;
		if (node->state == NODE_BLOCKED && !bad)
			bad = node;
	}
	return bad;
}

/* Appends, and cuts what no longer fits; returns the new size. */
static size_t append(char *text, size_t at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static size_t append(char *text, size_t at, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text + at, NODE_REASON_MAX - at, fmt, args);
	va_end(args);
	return n < 0 || at + (size_t)n >= NODE_REASON_MAX ? NODE_REASON_MAX - 1 : at + (size_t)n;
}

/* What the boot lacks: first what could be there, with its state and reason, then what only waits for others. */
static void say_missing(const struct plan *plan, char *text)
{
	size_t at = append(text, 0, "no progress for %lld s; missing",
			   (long long)(plan->config->boot_deadline_ms / 1000));

	for (int waiting = 0; waiting < 2; waiting++) {
		const char *separator = waiting ? "; waiting for others: " : ": ";

		for (size_t i = 0; i < plan->n_nodes; i++) {
			const struct plan_node *node = &plan->nodes[i];

			if (!plan_counts(node) || plan_settled(node->state) || (node->state == NODE_WAITING) != waiting)
				continue;
			at = append(text, at, "%s%s", separator, node->config->name);
			if (!waiting)
				at = append(text, at, " (%s%s%.60s)", node_state_name(node->state),
					    node->reason[0] ? ": " : "", node->reason);
			separator = ", ";
		}
	}
}

static void hold(struct plan *plan, const char *reason, int64_t now)
{
	bool again = plan->state == BOOT_HELD;

	if (!again && plan->config->held_action != HELD_HOLD)
		plan->held_due_ns = now + plan->config->held_delay_ms * PLAN_MS;
	if (again && strcmp(reason, plan->reason))
		plan_push(plan, PLAN_BOOT, 0, 0);	/* still held, but for another reason now */
	snprintf(plan->reason, sizeof(plan->reason), "%s", reason);
	set_boot(plan, BOOT_HELD, now);
	if (plan->held_once)
		return;
	plan->held_once = true;
	tells_held(plan);
}

static void hold_for_failure(struct plan *plan, int64_t now)
{
	const struct plan_node *bad = worst(plan);
	char reason[NODE_REASON_MAX];

	snprintf(reason, sizeof(reason), "%s: %.*s", bad->config->name, NODE_REASON_MAX - NODE_NAME_MAX - 4,
		 bad->reason);
	hold(plan, reason, now);
}

/* The list is made anew when less is missing, not with each attempt of what fails again and again. */
static void hold_for_delay(struct plan *plan, bool less, int64_t now)
{
	char reason[NODE_REASON_MAX];

	if (plan->state == BOOT_HELD && !less)
		return;
	say_missing(plan, reason);
	hold(plan, reason, now);
}

/* A booting begins: at the start, and when the reason of a held boot is gone. */
static void begin_booting(struct plan *plan, int64_t now)
{
	plan->least_open = plan->n_open;
	plan->moved_ns = now;
	plan->late = false;
}

/* When the boot is late; 0: it cannot be. */
static int64_t late_ns(const struct plan *plan)
{
	int64_t ms = plan->config->boot_deadline_ms;

	if (!ms || plan->state != BOOT_BOOTING || !plan->moved_ns || plan->late)
		return 0;
	return plan->moved_ns + ms * PLAN_MS;
}

static void find_late(struct plan *plan, int64_t now)
{
	if (!plan->moved_ns)
		begin_booting(plan, now);
	if (late_ns(plan) && now >= late_ns(plan))
		plan->late = plan->unjudged = true;
}

/* The boot is held as long as a required node has failed for good, or is late. */
static void judge_boot(struct plan *plan, int64_t now)
{
	bool less = plan->n_open < plan->least_open;

	if (plan->broken || !plan->unjudged)
		return;
	plan->unjudged = false;
	if (less) {
		plan->least_open = plan->n_open;
		plan->moved_ns = now;
	}
	if (plan->n_bad) {
		hold_for_failure(plan, now);
		plan->late = false;
	} else if (!plan->n_open) {
		plan->held_due_ns = 0;
		plan->late = false;
		set_boot(plan, BOOT_BOOTED, now);
		if (plan->held_once)
			tells_recovered(plan);
		plan->held_once = false;
	} else if (plan->late) {
		hold_for_delay(plan, less, now);
	} else if (plan->state == BOOT_HELD) {
		plan->held_due_ns = 0;
		begin_booting(plan, now);
		set_boot(plan, BOOT_BOOTING, now);
	}
}

void plan_step(struct plan *plan, int64_t now)
{
	size_t index;

	/* Times first: a service whose watchdog expires now must not count as ready for those that wait for it. */
	while (graph_next_due(&plan->graph, now, &index))
		step_times(plan, index, now);
	if (plan->state != BOOT_STOPPING)
		find_late(plan, now);
	do {
		for (;;) {
			bool marked = graph_next_marked(&plan->graph, &index);

			if (!marked && !queue_next(&plan->starters, &index))
				break;
			step_node(plan, index, !marked, now);
		}
		if (plan->state != BOOT_STOPPING)
			judge_boot(plan, now);
	} while (plan->graph.marked.count);
	if (plan->state == BOOT_HELD && plan->held_due_ns && now >= plan->held_due_ns) {
		plan->held_due_ns = 0;
		plan_push(plan, PLAN_HELD_OVER, 0, 0);
	}
	if (plan->state == BOOT_STOPPING && plan->n_down == plan->n_nodes)
		plan_push(plan, PLAN_DOWN, 0, 0);
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

int64_t plan_due_ns(const struct plan *plan)
{
	/* A marked node is due at once. */
	int64_t due = plan->graph.marked.count ? 1 : graph_due_ns(&plan->graph);

	if (plan->state == BOOT_HELD)
		sooner(&due, plan->held_due_ns);
	sooner(&due, late_ns(plan));
	return due;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

void plan_shutdown(struct plan *plan, int64_t now)
{
	if (plan->state == BOOT_STOPPING)
		return;
	plan->held_due_ns = 0;
	plan->n_down = 0;
	for (size_t i = 0; i < plan->n_nodes; i++) {
		const uint16_t *dependents;

		plan->nodes[i].down = false;
		plan->nodes[i].up = (unsigned)graph_dependents(&plan->graph, i, &dependents);
		/* Killed before the shutdown and still running: kill it again, so that it is found stuck. */
		if (plan->nodes[i].process && plan->nodes[i].told && !plan->nodes[i].kill_ns)
			plan->nodes[i].kill_ns = now;
		graph_mark(&plan->graph, i);
	}
	set_boot(plan, BOOT_STOPPING, now);
}

void plan_hurry(struct plan *plan, int64_t grace_ns, int64_t now)
{
	plan->hurry = true;
	plan->hurry_grace_ns = grace_ns;
	for (size_t i = 0; i < plan->n_nodes; i++) {
		struct plan_node *node = &plan->nodes[i];

		if (node->kill_ns <= now + grace_ns && (grace_ns > 0 || !node->process || node->killed_ns))
			continue;
		node->kill_ns = now + grace_ns;
		graph_mark(&plan->graph, i);
	}
}

/* An enabled service starts at boot, and with it every service that it needs or wants, enabled or not. */
static void enable(struct plan *plan, size_t index)
{
	struct plan_node *node = &plan->nodes[index];

	if (node->seen)
		return;
	node->seen = true;
	node->state = NODE_WAITING;
	for (size_t i = 0; i < node->config->n_needs; i++)
		enable(plan, node->config->needs[i]);
	for (size_t i = 0; i < node->config->n_wants; i++)
		enable(plan, node->config->wants[i]);
}

int plan_init(struct plan *plan, const struct config *config)
{
	memset(plan, 0, sizeof(*plan));
	plan->config = config;
	plan->n_nodes = config->n_nodes;
	/* In one step a node causes at most a start, a signal, a kill and two changes of state. */
	plan->capacity = config->n_nodes * 8 + 16;
	plan->nodes = calloc(plan->n_nodes ? plan->n_nodes : 1, sizeof(*plan->nodes));
	plan->queue = calloc(plan->capacity, sizeof(*plan->queue));
	if (!plan->nodes || !plan->queue || queue_init(&plan->starters, plan->n_nodes) < 0 ||
	    graph_init(&plan->graph, config) < 0) {
		plan_deinit(plan);
		return -ENOMEM;
	}
	for (size_t i = 0; i < plan->n_nodes; i++) {
		plan->nodes[i].config = &config->nodes[i];
		if (config->nodes[i].kind == NODE_SERVICE && !config->nodes[i].enabled)
			plan->nodes[i].state = NODE_DISABLED;
	}
	for (size_t i = 0; i < plan->n_nodes; i++)
		if (plan->nodes[i].state != NODE_DISABLED)
			enable(plan, i);
	for (size_t i = 0; i < plan->n_nodes; i++) {
		plan->nodes[i].seen = false;
		plan->n_open += plan_counts(&plan->nodes[i]) && !plan_settled(plan->nodes[i].state);
		graph_mark(&plan->graph, i);
	}
	plan->unjudged = true;
	return 0;
}

void plan_deinit(struct plan *plan)
{
	free(plan->nodes);
	free(plan->queue);
	queue_deinit(&plan->starters);
	graph_deinit(&plan->graph);
	memset(plan, 0, sizeof(*plan));
}

void plan_seed(struct plan *plan, uint64_t seed)
{
	plan->random = seed;
}

int plan_find(const struct plan *plan, const char *name, size_t *ret)
{
	return graph_find(&plan->graph, plan->config, name, ret);
}
