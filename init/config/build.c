/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Most keys are kept along their tables (fill.h). Here is the rest: values that depend on others, and the JSON texts
 * that roles get.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "build.h"
#include "cgroup.h"
#include "fill.h"
#include "hardening.h"
#include "keys.h"
#include "service-keys.h"
#include "launch.h"

#define PREPARE_MORE_MS 240000	/* beside the pull: podman's answers from its storage, each with a deadline */

static int build_stage(struct pool *pool, struct config_node *node, struct json_object *object)
{
	node->kind = NODE_STAGE;
	node->enabled = true;
	node->stage = stage_find(json_object_get_string(key_member(object, "type")));
	node->deadline_ms = node->stage->deadline_s * 1000LL;
	node->retry_limit = node->stage->retry_limit;
	if (fill_struct(pool, object, &stage_keys, node) < 0)
		return -ENOMEM;
	return node->json ? 0 : fill_string(pool, "{}", &node->json);
}

/* A probe launches the service with another command, and without the steps and settings of a start. */
static int copy_probe(struct pool *pool, struct json_object *service, struct json_object *command, char **ret)
{
	static const char *const not[] = {"before_start", "when_ready", "ready", "watchdog", "container", "log",
					  "cgroup"};
	struct json_object *probe = NULL;
	int r = json_object_deep_copy(service, &probe, NULL) < 0 ? -ENOMEM : 0;

	for (size_t i = 0; r == 0 && i < sizeof(not) / sizeof(not[0]); i++)
		json_object_object_del(probe, not[i]);
	if (r == 0 && json_object_object_add(probe, "command", json_object_get(command)) < 0)
		r = -ENOMEM;
	if (r == 0)	/* a container has no defaults of a program, its probe is one */
		r = fill_defaults(probe, &service_keys);
	if (r == 0)
		r = fill_json(pool, probe, ret);
	json_object_put(probe);
	return r;
}

static int build_ready(struct pool *pool, struct config_node *node, struct json_object *service)
{
	static const struct {
		const char *key;
		enum ready_kind kind;
	} kinds[] = {{"path", READY_PATH}, {"tcp", READY_TCP}, {"notify", READY_NOTIFY}, {"fd", READY_FD},
		     {"exec", READY_EXEC}, {"exit", READY_EXIT}};
	struct json_object *ready = key_member(service, "ready");
	char host[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (key_member(ready, kinds[i].key))
			node->ready = kinds[i].kind;
	if (node->ready == READY_EXEC)
		return copy_probe(pool, service, key_member(ready, "exec"), &node->ready_json);
	if (node->ready != READY_TCP)
		return 0;
	if (!address_split(json_object_get_string(key_member(ready, "tcp")), host, sizeof(host), &node->ready_port))
		return -EINVAL;
	return fill_string(pool, host, &node->ready_address);
}

static int build_cgroup(struct pool *pool, struct config_node *node, struct json_object *cgroup)
{
	if (!cgroup)
		return 0;
	node->cgroup = pool_take(pool, ((size_t)json_object_object_length(cgroup) + 1) * sizeof(*node->cgroup));
	if (!node->cgroup)
		return -ENOMEM;
	json_object_object_foreach(cgroup, name, value) {
		struct config_setting *setting = &node->cgroup[node->n_cgroup++];

		setting->known = cgroup_setting_known(name);
		if (fill_string(pool, name, &setting->name) < 0 ||
		    fill_string(pool, json_object_get_string(value), &setting->value) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The launcher gets a container's service with the machine's `containers` in it. */
static int build_json(struct pool *pool, struct config_node *node, struct json_object *service,
		      struct json_object *containers)
{
	int r;

	if (!key_member(service, "container"))
		return fill_json(pool, service, &node->json);
	node->prepare_ms += PREPARE_MORE_MS;
	if (json_object_object_add(service, "containers", json_object_get(containers)) < 0)
		return -ENOMEM;
	r = fill_json(pool, service, &node->json);
	json_object_object_del(service, "containers");
	return r;
}

static int build_service(struct config *config, struct config_node *node, struct json_object *object,
			 struct json_object *root)
{
	struct pool *pool = &config->pool;
	struct json_object *logs = key_member(root, "logs"), *watchdog = key_member(object, "watchdog");
	struct json_object *probe = key_member(watchdog, "exec");
	int r;

	node->kind = NODE_SERVICE;
	node->log_max_bytes = (int64_t)key_number(logs, &logs_keys, "max_bytes");
	node->log_files = (unsigned)key_number(logs, &logs_keys, "files");
	r = fill_struct(pool, object, &service_keys, node);
	/* with all capabilities root would not stay in it */
	if (r == 0 && key_member(object, "root") && !key_member(object, "capabilities") &&
	    json_object_object_add(object, "capabilities", json_object_new_array()) < 0)
		r = -ENOMEM;
	node->isolated = !key_member(object, "root") && !hardening_kept(config, HARDENING_SERVICES) &&
			 launch_isolates(object);
	if (r == 0 && node->isolated && json_object_object_add(object, "isolated", json_object_new_boolean(true)) < 0)
		r = -ENOMEM;
	if (!node->enabled)	/* then only a request starts it */
		node->enabled_if = NULL;
	if (r == 0)
		r = build_ready(pool, node, object);
	if (r == 0 && probe)
		r = copy_probe(pool, object, probe, &node->health_json);
	if (r == 0)
		r = build_cgroup(pool, node, key_member(object, "cgroup"));
	return r < 0 ? r : build_json(pool, node, object, key_member(root, "containers"));
}

static int build_nodes(struct config *config, struct json_object *root)
{
	struct json_object *stages = key_member(root, "stages"), *services = key_member(root, "services");
	size_t n_stages = fill_count(stages), n = n_stages + fill_count(services);

	config->nodes = calloc(n ? n : 1, sizeof(*config->nodes));
	if (!config->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct config_node *node = &config->nodes[config->n_nodes++];
		int r = i < n_stages
			? build_stage(&config->pool, node, json_object_array_get_idx(stages, i))
			: build_service(config, node, json_object_array_get_idx(services, i - n_stages), root);

		if (r < 0)
			return r;
		node->json_size = strlen(node->json);
	}
	return 0;
}

/* For events: "/bin/sh -c reboot". */
static int copy_words(struct pool *pool, struct json_object *command, char **ret)
{
	size_t n = fill_count(command), size = 1;
	char *at;

	for (size_t i = 0; i < n; i++)
		size += strlen(json_object_get_string(json_object_array_get_idx(command, i))) + 1;
	*ret = pool_take(pool, size);
	if (!*ret)
		return -ENOMEM;
	at = *ret;
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*at++ = ' ';
		at = stpcpy(at, json_object_get_string(json_object_array_get_idx(command, i)));
	}
	return 0;
}

/* A command is launched as a service is, with the same defaults. */
static int build_action(struct pool *pool, struct config_action *action, struct json_object *object)
{
	struct json_object *command = key_member(object, "command");
	const char *target = "";

	if (!command) {
		action->verb = verb_parse(action->words, &target);
		return *target ? fill_string(pool, target, &action->target) : 0;
	}
	if (copy_words(pool, command, &action->words) < 0 || fill_defaults(object, &service_keys) < 0)
		return -ENOMEM;
	return fill_json(pool, object, &action->json);
}

int build_config(struct config *config, struct json_object *root)
{
	struct json_object *actions = key_member(key_member(root, "api"), "actions");
	int r = fill_defaults(root, &config_keys);

	if (r == 0)
		r = fill_struct(&config->pool, root, &config_keys, config);
	config->refreshes = key_member(root, "refresh") != NULL;
	config->logs = key_member(root, "logs") != NULL;
	config->limit_pids = !hardening_kept(config, HARDENING_PIDS);
	for (size_t i = 0; r == 0 && i < config->n_actions; i++)
		r = build_action(&config->pool, &config->actions[i], json_object_array_get_idx(actions, i));
	return r < 0 ? r : build_nodes(config, root);
}

#define DAEMON_NEEDS(name) {#name, offsetof(struct config, name##_needs), offsetof(struct config, n_##name##_needs)}

const struct daemon_needs daemon_needs[] = {DAEMON_NEEDS(log), DAEMON_NEEDS(logs), DAEMON_NEEDS(api), {0}};

uint16_t *daemon_needs_of(const struct daemon_needs *daemon, struct config *config, size_t **ret_n)
{
	*ret_n = (void *)((char *)config + daemon->n_needs);
	return (void *)((char *)config + daemon->needs);
}
