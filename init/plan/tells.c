/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements tells.h. */
#include <gantry/stage.h>

#include "node.h"
#include "tells.h"

static bool tells(const struct plan_node *node)
{
	return node->config->stage && node->config->stage->tells;
}

static bool is_for_held(const struct plan_node *node)
{
	return node->config->kind == NODE_STAGE && node->config->when == WHEN_HELD;
}

bool tells_waits(const struct plan *plan, const struct plan_node *node)
{
	for (size_t i = 0; tells(node) && i < plan->n_nodes; i++)
		if (&plan->nodes[i] != node && tells(&plan->nodes[i]) && plan->nodes[i].process)
			return true;
	return false;
}

static void run_again(struct plan *plan, struct plan_node *node, const char *why)
{
	node->attempts = 0;
	plan_set_state(plan, node, NODE_WAITING, "%s", why);
}

void tells_ended(struct plan *plan, const struct plan_node *ended)
{
	if (!tells(ended))
		return;
	for (size_t i = 0; i < plan->n_nodes; i++) {
		struct plan_node *node = &plan->nodes[i];

		if (!tells(node))
			continue;
		/* Ready was reported late, in a boot that is held by now. */
		if (is_for_held(node) && !is_for_held(ended) && plan_satisfied(ended->state) &&
		    plan->state == BOOT_HELD && plan_satisfied(node->state))
			run_again(plan, node, "the boot is still held");
		plan_mark(plan, node);
	}
}

void tells_held(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_nodes; i++) {
		struct plan_node *node = &plan->nodes[i];

		if (!is_for_held(node))
			continue;
		if (plan_satisfied(node->state) || node->state == NODE_FAILED)
			run_again(plan, node, "the boot is held again");
		plan_mark(plan, node);
	}
}

/* False: it has not run in this hold, so that nobody has heard of it. */
static bool withdraw(struct plan *plan, struct plan_node *node)
{
	if (node->state == NODE_WAITING || node->state == NODE_BLOCKED)
		return false;
	if (node->process) {
		node->restart = true;
		plan_set_state(plan, node, NODE_STOPPING, "the boot has recovered");
	} else if (node->state == NODE_RETRYING) {
		run_again(plan, node, "the boot has recovered");
	}
	return true;
}

void tells_recovered(struct plan *plan)
{
	bool told = false;

	for (size_t i = 0; i < plan->n_nodes; i++)
		if (tells(&plan->nodes[i]) && is_for_held(&plan->nodes[i]))
			told |= withdraw(plan, &plan->nodes[i]);
	for (size_t i = 0; told && i < plan->n_nodes; i++) {
		struct plan_node *node = &plan->nodes[i];

		if (tells(node) && !is_for_held(node) &&
		    (plan_satisfied(node->state) || node->state == NODE_FAILED))
			run_again(plan, node, "the boot has recovered");
	}
}
