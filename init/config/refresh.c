/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements refresh.h. Stages come before services in config.nodes, both in the order of the file. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include <gantry/report.h>

#include "build.h"
#include "keys.h"
#include "plan.h"
#include "refresh.h"

static const struct place top;

static size_t count_stages(const struct config *config)
{
	size_t n = 0;

	while (n < config->n_nodes && config->nodes[n].kind == NODE_STAGE)
		n++;
	return n;
}

static struct json_object *stage_object(const struct check *check, size_t index)
{
	return json_object_array_get_idx(key_member(check->root, "stages"), index);
}

static size_t length(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

static const char *text_at(struct json_object *array, size_t i)
{
	return json_object_get_string(json_object_array_get_idx(array, i));
}

static bool fetches(const struct config_node *node)
{
	return node->stage && node->stage->refresh == STAGE_FETCHES && node->when == WHEN_BOOT;
}

static int check_stage(struct check *check, struct config *config)
{
	const struct place refresh = {.up = &top, .key = "refresh"}, at = {.up = &refresh, .key = "stage"};
	struct json_object *object = key_member(check->root, "refresh");
	const char *name = json_object_get_string(key_member(object, "stage"));
	struct nearest nearest = {.value = name};
	char hint[CHECK_NEAREST_MAX];

	for (size_t i = 0; object && i < config->n_nodes; i++) {
		if (!fetches(&config->nodes[i]))
			continue;
		nearest_try(&nearest, config->nodes[i].name);
		if (strcmp(config->nodes[i].name, name))
			continue;
		config->refresh_stage = (uint16_t)i;
		return 0;
	}
	return object ? check_fail(check, &at, "\"%s\" is not a stage that fetches a configuration%s", name,
				   nearest_hint(&nearest, hint)) : 0;
}

static int check_verbs(struct check *check, const struct config *config)
{
	const struct place api = {.up = &top, .key = "api"}, list = {.up = &api, .key = "actions"};

	for (size_t i = 0; i < config->n_actions; i++) {
		const struct place item = {.up = &list, .index = (uint32_t)i, .label = config->actions[i].name};
		const struct place verb = {.up = &item, .key = "verb"};

		if (config->actions[i].verb == VERB_REFRESH && !config->refreshes)
			return check_fail(check, &verb,
					  "\"@refresh-config\" requires \"refresh\" at the top of the file");
	}
	return 0;
}

/* Does an item of the list render the file? */
static bool list_renders(struct json_object *list, const struct stage_option *members, const char *path,
			 struct nearest *nearest)
{
	for (size_t i = 0; i < length(list); i++) {
		for (const struct stage_option *member = members; member->name; member++) {
			struct json_object *found = key_member(json_object_array_get_idx(list, i), member->name);

			if (member->names != OPTION_NAMES_RENDERED || !found)
				continue;
			if (!strcmp(json_object_get_string(found), path))
				return true;
			nearest_try(nearest, json_object_get_string(found));
		}
	}
	return false;
}

/* Is this one of the files that a stage renders? */
static bool is_rendered(struct check *check, const struct config *config, const char *path, struct nearest *nearest)
{
	for (size_t i = 0; i < config->n_nodes; i++) {
		const struct stage *stage = config->nodes[i].stage;
		struct json_object *options = key_member(stage_object(check, i), "options");

		if (!stage || stage->refresh != STAGE_RENDERS)
			continue;
		for (const struct stage_option *option = stage->options; option && option->name; option++)
			if (option->type == OPTION_OBJECTS &&
			    list_renders(key_member(options, option->name), option->members, path, nearest))
				return true;
	}
	return false;
}

static int check_change(struct check *check, const struct config *config, const struct config_node *node,
			const struct place *place)
{
	const struct place change = {.up = place, .key = "on_change"}, list = {.up = &change, .key = "files"};

	if (node->n_change_files && !config->refreshes)
		return check_fail(check, &change, "requires \"refresh\" at the top of the file");
	for (size_t i = 0; i < node->n_change_files; i++) {
		const struct place item = {.up = &list, .index = (uint32_t)i};
		struct nearest nearest = {.value = node->change_files[i]};
		char quoted[CHECK_QUOTED_MAX], hint[CHECK_NEAREST_MAX];

		if (!is_rendered(check, config, node->change_files[i], &nearest))
			return check_fail(check, &item, "no stage renders %s%s",
					  check_quote(quoted, node->change_files[i]), nearest_hint(&nearest, hint));
	}
	return 0;
}

static bool is_uploaded(const struct config *config, const char *path)
{
	for (size_t i = 0; i < config->n_uploads; i++)
		if (!strcmp(config->uploads[i].path, path))
			return true;
	return false;
}

/* A mount is of one file, and stays with it when another one is renamed to its name. */
static int check_volumes(struct check *check, const struct config *config, size_t index, const struct place *place)
{
	struct json_object *service = json_object_array_get_idx(key_member(check->root, "services"), index);
	struct json_object *volumes = key_member(key_member(service, "container"), "volumes");
	const struct place container = {.up = place, .key = "container"}, list = {.up = &container, .key = "volumes"};

	for (size_t i = 0; i < length(volumes); i++) {
		const struct place item = {.up = &list, .index = (uint32_t)i};
		struct nearest nearest = {.value = ""};
		char quoted[CHECK_QUOTED_MAX], path[PATH_MAX];
		bool uploaded;

		snprintf(path, sizeof(path), "%.*s", (int)strcspn(text_at(volumes, i), ":"), text_at(volumes, i));
		uploaded = is_uploaded(config, path);
		if (uploaded || (config->refreshes && is_rendered(check, config, path, &nearest)))
			return check_fail(check, &item, "%s is replaced by %s, and a container keeps the old file: "
					  "put it into a folder of its own and mount the folder",
					  check_quote(quoted, path), uploaded ? "an upload" : "a refresh");
	}
	return 0;
}

/* The config stage comes first: only its document says whether the service runs. */
static int add_need(struct check *check, const struct config *config, struct config_node *node,
		    const struct place *place)
{
	const struct place key = {.up = place, .key = "enabled_if"};
	size_t at = 0;

	while (at < config->n_nodes && !fetches(&config->nodes[at]))
		at++;
	if (at == config->n_nodes)
		return check_fail(check, &key, "no stage fetches a configuration");
	for (size_t i = 0; i < node->n_needs; i++)
		if (node->needs[i] == at)
			return 0;
	if (node->n_needs == CONFIG_NEEDS_MAX)
		return check_fail(check, &key, "\"%s\" would exceed the limit of 32 needs", config->nodes[at].name);
	node->needs[node->n_needs++] = (uint16_t)at;
	return 0;
}

/* Otherwise switching the service off in the hub's document would block its dependants and hold the boot. */
static int check_needs(struct check *check, const struct config *config, const uint16_t *needs, size_t n,
		       const char *enabled_if, const struct place *place)
{
	const struct place list = {.up = place, .key = "needs"};

	for (size_t i = 0; i < n; i++) {
		const struct config_node *need = &config->nodes[needs[i]];

		if (need->enabled_if && (!enabled_if || strcmp(need->enabled_if, enabled_if)))
			return check_fail(check, &list, "\"%s\" has enabled_if \"%s\": nodes that need it must have "
					  "the same, or use \"after\"", need->name, need->enabled_if);
	}
	return 0;
}

static int check_nodes(struct check *check, struct config *config)
{
	const struct place stages = {.up = &top, .key = "stages"}, services = {.up = &top, .key = "services"};
	size_t n_stages = count_stages(config);

	for (size_t i = 0; i < config->n_nodes; i++) {
		struct config_node *node = &config->nodes[i];
		bool stage = i < n_stages;
		const struct place place = {.up = stage ? &stages : &services,
					    .index = (uint32_t)(stage ? i : i - n_stages), .label = node->name};
		int r = check_needs(check, config, node->needs, node->n_needs, node->enabled_if, &place);

		if (r == 0)
			r = check_change(check, config, node, &place);
		if (r == 0 && !stage)
			r = check_volumes(check, config, i - n_stages, &place);
		if (r == 0 && node->enabled_if)
			r = add_need(check, config, node, &place);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A container's login wants the document at any start: PID 1 keeps what is given for that. */
static bool serves_login(const struct config *config)
{
	for (size_t i = 0; i < config->n_nodes; i++)
		if (config->nodes[i].takes && !strcmp(config->nodes[i].takes, CONFIG_ARTIFACT))
			return true;
	return false;
}

/*
 * The stage evaluates the keys, and gives what a refresh needs; it finds that where no file can have put it, since its
 * table does not know it.
 */
static int pass_options(struct check *check, struct config *config, size_t index)
{
	struct config_node *stage = &config->nodes[index];
	struct json_object *options = key_member(stage_object(check, index), "options");
	struct json_object *whole = options ? json_object_get(options) : json_object_new_object();
	struct json_object *keys = json_object_new_array();
	char *text;

	for (size_t i = 0; i < config->n_nodes; i++) {
		const char *key = config->nodes[i].enabled_if;
		bool there = !key;

		for (size_t j = 0; !there && j < length(keys); j++)
			there = !strcmp(text_at(keys, j), key);
		if (!there)
			json_object_array_add(keys, json_object_new_string(key));
	}
	if (length(keys))
		json_object_object_add(whole, "enabled_if", keys);
	else
		json_object_put(keys);
	if ((config->refreshes && index == config->refresh_stage) || serves_login(config))
		json_object_object_add(whole, "kept", json_object_new_boolean(true));
	text = pool_copy(&config->pool, json_object_to_json_string_ext(whole, JSON_C_TO_STRING_PLAIN |
									      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(whole);
	if (!text)
		return -ENOMEM;
	stage->json = text;
	stage->json_size = strlen(text);
	return 0;
}

int config_refresh(struct check *check, struct config *config)
{
	int r = check_stage(check, config);

	if (r == 0)
		r = check_verbs(check, config);
	if (r == 0)
		r = check_nodes(check, config);
	for (const struct daemon_needs *d = daemon_needs; r == 0 && d->key; d++) {
		const struct place place = {.up = &top, .key = d->key};
		size_t *n;
		const uint16_t *needs = daemon_needs_of(d, config, &n);

		r = check_needs(check, config, needs, *n, NULL, &place);
	}
	for (size_t i = 0; r == 0 && i < config->n_nodes; i++)
		if (fetches(&config->nodes[i]))
			r = pass_options(check, config, i);
	return r;
}
