/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds everything that would make a boot wait for ever, before the image is made: a need that cannot be met, nodes
 * that wait for each other, an artifact that no stage gives. Stages of a held boot are outside the plan: they may wait
 * for its nodes, but its nodes cannot wait for them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "build.h"
#include "keys.h"
#include "plan.h"
#include "refresh.h"

#define HELD_REASON "held-reason"	/* given by PID 1 itself */

/* Names that PID 1 and its own roles use as the source of events. */
static const char *const reserved[] = {"gantry", "kernel", "logger", "service-log", "api", "system-api", "http", "fifo",
					"gantryctl", "tpm", "teardown"};

/* "pid-12" is the source of an event whose sender is no node. */
static bool is_pid(const char *name)
{
	return !strncmp(name, "pid-", 4) && name[4] && strspn(name + 4, "0123456789") == strlen(name + 4);
}

static bool is_reserved(const char *name)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (!strcmp(name, reserved[i]))
			return true;
	return is_pid(name);
}

/* The place of a node, made on the caller's stack. */
struct node_place {
	struct place top, list, item;
};

static const struct place *place_of(struct node_place *at, const struct config *config, size_t index)
{
	const struct config_node *node = &config->nodes[index];
	size_t first = index;

	while (first > 0 && config->nodes[first - 1].kind == node->kind)
		first--;
	at->top = (struct place){0};
	at->list = (struct place){.up = &at->top, .key = node->kind == NODE_STAGE ? "stages" : "services"};
	at->item = (struct place){.up = &at->list, .index = (uint32_t)(index - first), .label = node->name};
	return &at->item;
}

static struct json_object *object_of(const struct check *check, const struct config *config, size_t index)
{
	struct node_place at;
	const struct place *place = place_of(&at, config, index);

	return json_object_array_get_idx(key_member(check->root, place->up->key), place->index);
}

static int find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_nodes; i++)
		if (!strcmp(config->nodes[i].name, name))
			return (int)i;
	return -1;
}

static int check_names(struct check *check, const struct config *config)
{
	struct node_place at;

	if (config->n_nodes > CONFIG_NODES_MAX) {
		const struct place top = {0}, services = {.up = &top, .key = "services"};

		return check_fail(check, &services, "more than %d stages and services", CONFIG_NODES_MAX);
	}
	for (size_t i = 0; i < config->n_nodes; i++) {
		const struct config_node *node = &config->nodes[i];

		if (is_reserved(node->name))
			return check_fail_member(check, place_of(&at, config, i), "name",
						 "\"%s\" is a reserved name", node->name);
		if (find(config, node->name) < (int)i)
			return check_fail_member(check, place_of(&at, config, i), "name",
						 "duplicate name: also the name of another %s",
						 config->nodes[find(config, node->name)].kind == NODE_STAGE
							? "stage" : "service");
	}
	return 0;
}

/*
 * Turns one list of names into indexes. `waiter` is the node whose list it is, or NULL for the log and the API; place
 * leads to the object that has the list.
 */
static int resolve(struct check *check, const struct config *config, const struct config_node *waiter,
		   const struct place *place, struct json_object *names, const char *key, uint16_t *ret, size_t *ret_n)
{
	bool needs = !strcmp(key, "needs");
	const char *verb = needs ? "needs" : !strcmp(key, "wants") ? "wants" : "comes after";
	size_t n = names ? json_object_array_length(names) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(names, i));
		int found = find(config, name);
		const struct config_node *other = found < 0 ? NULL : &config->nodes[found];
		const char *wrong = NULL;
		char hint[CHECK_NEAREST_MAX] = "";

		if (!other) {
			struct nearest nearest = {.value = name};

			for (size_t j = 0; j < config->n_nodes; j++)
				nearest_try(&nearest, config->nodes[j].name);
			nearest_hint(&nearest, hint);
			wrong = "no such stage or service";
		} else if (other == waiter) {
			wrong = "a node cannot wait for itself";
		} else if (other->when == WHEN_HELD && !(waiter && waiter->when == WHEN_HELD)) {
			wrong = "it runs only when the boot is held";
		} else if (needs && !other->enabled && (!waiter || waiter->enabled)) {
			wrong = "the service is not enabled";
		}
		for (size_t j = 0; !wrong && j < *ret_n; j++)
			if (ret[j] == found)
				wrong = "listed twice";
		if (wrong) {
			struct place list = {.up = place, .key = key}, item = {.up = &list, .index = (uint32_t)i};

			return check_fail_at(check, place, &item, "%s \"%s\": %s%s", verb, name, wrong, hint);
		}
		ret[(*ret_n)++] = (uint16_t)found;
	}
	return 0;
}

static int resolve_all(struct check *check, struct config *config)
{
	const struct place top = {0};
	struct node_place at;
	int r;

	for (size_t i = 0; i < config->n_nodes; i++) {
		struct config_node *node = &config->nodes[i];
		const struct place *place = place_of(&at, config, i);
		struct json_object *object = object_of(check, config, i);

		r = resolve(check, config, node, place, key_member(object, "needs"), "needs", node->needs,
			    &node->n_needs);
		if (r < 0)
			return r;
		r = resolve(check, config, node, place, key_member(object, "after"), "after", node->after,
			    &node->n_after);
		if (r < 0)
			return r;
		r = resolve(check, config, node, place, key_member(object, "wants"), "wants", node->wants,
			    &node->n_wants);
		if (r < 0)
			return r;
		if (node->follows_needs && !node->n_needs)
			return check_fail_member(check, place, "follows_needs",
						 "\"follows_needs\" requires \"needs\"");
	}
	for (const struct daemon_needs *d = daemon_needs; d->key; d++) {
		const struct place place = {.up = &top, .key = d->key};
		size_t *n;
		uint16_t *needs = daemon_needs_of(d, config, &n);

		r = resolve(check, config, NULL, &place, key_member(key_member(check->root, d->key), "needs"), "needs",
			    needs, n);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The nodes that the verbs of actions start and stop. */
static int check_actions(struct check *check, const struct config *config)
{
	const struct place top = {0}, api = {.up = &top, .key = "api"}, list = {.up = &api, .key = "actions"};

	for (size_t i = 0; i < config->n_actions; i++) {
		const struct config_action *action = &config->actions[i];
		const struct place item = {.up = &list, .index = (uint32_t)i, .label = action->name};
		struct nearest nearest = {.value = action->target};
		char hint[CHECK_NEAREST_MAX];
		int found = action->target ? find(config, action->target) : 0;

		if (!action->target)
			continue;
		for (size_t j = 0; j < config->n_nodes; j++)
			nearest_try(&nearest, config->nodes[j].name);
		if (found < 0)
			return check_fail_member(check, &item, "verb", "\"%s\": no such stage or service%s",
						 action->target, nearest_hint(&nearest, hint));
		if (config->nodes[found].kind != NODE_SERVICE && action->verb != VERB_START)
			return check_fail_member(check, &item, "verb", "\"%s\" is a stage", action->target);
	}
	return 0;
}

/* A walk along needs, after and wants; `way` holds the nodes from its start to where it stands. */
struct walk {
	const struct config *config;
	enum {NEW, ON_THE_WAY, SEEN} marks[CONFIG_NODES_MAX];
	uint16_t way[CONFIG_NODES_MAX];
	size_t length;
};

static size_t count_edges(const struct config_node *node)
{
	return node->n_needs + node->n_after + node->n_wants;
}

static uint16_t edge(const struct config_node *node, size_t i)
{
	if (i < node->n_needs)
		return node->needs[i];
	i -= node->n_needs;
	return i < node->n_after ? node->after[i] : node->wants[i - node->n_after];
}

/* Returns true with the circle at the end of the way; *ret_start: where it begins. */
static bool find_circle(struct walk *walk, uint16_t index, size_t *ret_start)
{
	const struct config_node *node = &walk->config->nodes[index];

	walk->marks[index] = ON_THE_WAY;
	walk->way[walk->length++] = index;
	for (size_t i = 0; i < count_edges(node); i++) {
		uint16_t next = edge(node, i);

		if (walk->marks[next] == ON_THE_WAY) {
			for (*ret_start = 0; walk->way[*ret_start] != next;)
				++*ret_start;
			return true;
		}
		if (walk->marks[next] == NEW && find_circle(walk, next, ret_start))
			return true;
	}
	walk->length--;
	walk->marks[index] = SEEN;
	return false;
}

/* "a -> b -> a"; of a long way only the beginning and the return. */
static void put_circle(const struct walk *walk, size_t start, char *circle, size_t size)
{
	const struct config_node *nodes = walk->config->nodes;
	const size_t step = NODE_NAME_MAX + 4, end = sizeof("... -> ") + NODE_NAME_MAX;
	size_t n = 0;

	for (size_t i = start; i < walk->length; i++) {
		bool fits = n + step + end <= size;

		n += (size_t)snprintf(circle + n, size - n, "%s -> ", fits ? nodes[walk->way[i]].name : "...");
		if (!fits)
			break;
	}
	snprintf(circle + n, size - n, "%s", nodes[walk->way[start]].name);
}

static int check_circles(struct check *check, const struct config *config)
{
	struct walk walk = {.config = config};
	size_t start = 0;

	for (size_t i = 0; i < config->n_nodes; i++) {
		char circle[400];
		struct node_place at;

		if (walk.marks[i] != NEW || !find_circle(&walk, (uint16_t)i, &start))
			continue;
		put_circle(&walk, start, circle, sizeof(circle));
		return check_fail(check, place_of(&at, config, walk.way[start]), "waits for itself: %s", circle);
	}
	return 0;
}

/* Does node `from` wait for node `to`, directly or through others? There are no circles any more. */
static bool waits_for(struct walk *walk, uint16_t from, uint16_t to)
{
	const struct config_node *node = &walk->config->nodes[from];

	if (from == to)
		return true;
	if (walk->marks[from] == SEEN)
		return false;
	walk->marks[from] = SEEN;
	for (size_t i = 0; i < count_edges(node); i++)
		if (waits_for(walk, edge(node, i), to))
			return true;
	return false;
}

static bool has(const char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static bool contains(struct json_object *list, const char *word)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), word))
			return true;
	return false;
}

/* A secret that none of the stage's options asks for. */
static bool is_optional(const struct stage *stage, const char *artifact, struct json_object *options)
{
	const struct stage_secret *secret = stage ? stage->secrets : NULL;

	while (secret && secret->artifact && strcmp(secret->artifact, artifact))
		secret++;
	if (!secret || !secret->artifact)
		return false;
	for (const struct stage_option *option = stage->options; option && option->name; option++)
		if (option->type == OPTION_STRINGS && contains(key_member(options, option->name), secret->word))
			return false;
	return true;
}

static int check_taker(struct check *check, const struct config *config, size_t index, const char *artifact)
{
	const struct config_node *taker = &config->nodes[index];
	struct json_object *options = key_member(object_of(check, config, index), "options");
	struct node_place at;
	bool given = false;

	for (size_t i = 0; i < config->n_nodes; i++) {
		const struct config_node *giver = &config->nodes[i];
		struct walk walk = {.config = config};

		if (giver->kind != NODE_STAGE || i == index || !has(giver->stage->gives, artifact))
			continue;
		if (giver->when == WHEN_HELD && taker->when != WHEN_HELD)
			continue;
		given = true;
		if (waits_for(&walk, (uint16_t)i, (uint16_t)index) && !is_optional(taker->stage, artifact, options))
			return check_fail(check, place_of(&at, config, index),
					  "takes \"%s\" from \"%s\", which waits for this stage", artifact,
					  giver->name);
	}
	if (given || is_optional(taker->stage, artifact, options))
		return 0;
	return check_fail(check, place_of(&at, config, index), "takes \"%s\", which no stage gives", artifact);
}

static int check_artifacts(struct check *check, const struct config *config)
{
	struct node_place at;
	int r;

	for (size_t i = 0; i < config->n_nodes; i++) {
		const struct stage *stage = config->nodes[i].stage;

		for (const char *const *name = stage ? stage->gives : NULL; name && *name; name++)
			for (size_t j = 0; j < i; j++)
				if (config->nodes[j].stage && has(config->nodes[j].stage->gives, *name))
					return check_fail(check, place_of(&at, config, i),
							  "gives \"%s\", as \"%s\" does", *name,
							  config->nodes[j].name);
		for (const char *const *name = stage ? stage->takes : NULL; name && *name; name++) {
			if (!strcmp(*name, HELD_REASON))
				continue;
			r = check_taker(check, config, i, *name);
			if (r < 0)
				return r;
		}
		if (config->nodes[i].takes) {
			r = check_taker(check, config, i, config->nodes[i].takes);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int config_plan(struct check *check, struct config *config)
{
	int r = check_names(check, config);

	if (r == 0)
		r = resolve_all(check, config);
	if (r == 0)
		r = config_refresh(check, config);
	if (r == 0)
		r = check_circles(check, config);
	if (r == 0)
		r = check_artifacts(check, config);
	if (r == 0)
		r = check_actions(check, config);
	return r;
}
