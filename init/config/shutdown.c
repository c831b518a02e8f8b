/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements shutdown.h. */
#include <inttypes.h>
#include <string.h>

#include <json-c/json.h>

#include "init/plan/phases.h"
#include "init/plan/plan.h"
#include "shutdown.h"

static int64_t grace_ms(const struct config_node *node)
{
	return node->kind == NODE_SERVICE ? node->stop_grace_ms : PLAN_STAGE_GRACE_MS;
}

/* Those nodes stop no earlier than at `ms`. True: that is later than it was. */
static bool come_after(int64_t *end_ms, const uint16_t *nodes, size_t n, int64_t ms)
{
	bool changed = false;

	for (size_t i = 0; i < n; i++) {
		if (end_ms[nodes[i]] >= ms)
			continue;
		end_ms[nodes[i]] = ms;
		changed = true;
	}
	return changed;
}

/* A node stops only after the nodes that need or follow it have ended. There are no circles, so this terminates. */
int64_t config_graces_ms(const struct config *config)
{
	int64_t end_ms[CONFIG_NODES_MAX] = {0}, longest_ms = 0;
	bool changed = true;

	for (size_t round = 0; changed && round <= config->n_nodes; round++) {
		changed = false;
		for (size_t i = 0; i < config->n_nodes; i++) {
			const struct config_node *node = &config->nodes[i];
			int64_t mine_ms = end_ms[i] + grace_ms(node);

			changed |= come_after(end_ms, node->needs, node->n_needs, mine_ms);
			changed |= come_after(end_ms, node->wants, node->n_wants, mine_ms);
			changed |= come_after(end_ms, node->after, node->n_after, mine_ms);
			if (mine_ms > longest_ms)
				longest_ms = mine_ms;
		}
	}
	return longest_ms;
}

/* A grace that the file sets must fit; the default grace may be cut short. */
static int check_graces(struct check *check, const struct config *config)
{
	static const struct place top;
	const struct place shutdown = {.up = &top, .key = "shutdown"};
	int64_t whole_ms = config->shutdown_timeout_ms;
	int64_t services_ms = phases_nodes_ms(whole_ms);
	struct json_object *services = key_member(check->root, "services");

	for (size_t i = 0; services && i < json_object_array_length(services); i++) {
		struct json_object *service = json_object_array_get_idx(services, i);
		struct json_object *grace = key_member(service, "stop_grace_s");

		if (grace && json_object_get_double(grace) * 1000 > (double)services_ms)
			return check_fail_member(check, &shutdown, "timeout_s",
						 "timeout_s %g leaves %g s for the services, but \"%s\" has "
						 "stop_grace_s %g", (double)whole_ms / 1000, (double)services_ms / 1000,
						 json_object_get_string(key_member(service, "name")),
						 json_object_get_double(grace));
	}
	return 0;
}

int config_shutdown(struct check *check, struct config *config)
{
	struct json_object *timeout = key_member(key_member(check->root, "shutdown"), "timeout_s");

	if (!timeout) {
		config->shutdown_timeout_ms = config_graces_ms(config) + PHASES_TAIL_MS;
		return 0;
	}
	config->shutdown_timeout_ms = (int64_t)(json_object_get_double(timeout) * 1000 + 0.5);
	return check_graces(check, config);
}
