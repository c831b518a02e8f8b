/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements sockets.h. */
#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include <gantry/stage.h>

#include "fill.h"
#include "keys.h"
#include "sockets.h"

#define FOLDER "/run/gantry"

static const struct place top;

static int check_path(struct check *check, const struct place *up, struct json_object *object, const char *key)
{
	const struct place at = {.up = up, .key = key};
	const char *path = json_object_get_string(key_member(object, key));
	size_t n = strlen(FOLDER);
	char quoted[CHECK_QUOTED_MAX];

	if (!path || strncmp(path, FOLDER, n) || (path[n] && path[n] != '/'))
		return 0;
	path += n;
	path += strspn(path, "/");
	if (strchr(path, '/'))
		return 0;
	return check_fail(check, &at, "%s: the sockets of PID 1 are in " FOLDER ", and a process that writes a file "
			  "may write all of its folder: use another, such as " FOLDER "/rendered",
			  check_quote(quoted, json_object_get_string(key_member(object, key))));
}

static int check_paths(struct check *check, const struct place *up, struct json_object *object,
		       const char *const *keys)
{
	int r = 0;

	for (; r == 0 && *keys; keys++)
		r = check_path(check, up, object, *keys);
	return r;
}

/* Each object of the list `name`. */
static int check_list(struct check *check, const struct place *up, struct json_object *object, const char *name,
		      const char *const *keys)
{
	const struct place list_at = {.up = up, .key = name};
	struct json_object *list = key_member(object, name);
	int r = 0;

	for (size_t i = 0; r == 0 && i < fill_count(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		const struct place at = {.up = &list_at, .index = (uint32_t)i,
					 .label = json_object_get_string(key_member(item, "name"))};

		r = check_paths(check, &at, item, keys);
	}
	return r;
}

static int check_stage(void *with, const struct place *place, struct json_object *stage)
{
	struct check *check = with;
	const struct stage_option *option = stage_find(json_object_get_string(key_member(stage, "type")))->options;
	const struct place options_at = {.up = place, .key = "options"};
	int r = 0;

	for (; r == 0 && option && option->name; option++) {
		if (option->type != OPTION_OBJECTS)
			continue;
		for (const struct stage_option *member = option->members; r == 0 && member->name; member++)
			if (member->names == OPTION_NAMES_RENDERED)
				r = check_list(check, &options_at, key_member(stage, "options"), option->name,
					       (const char *const[]){member->name, NULL});
	}
	return r;
}

static int check_service(void *with, const struct place *place, struct json_object *service)
{
	struct check *check = with;
	static const char *const keys[] = {"directory", "secret", "remove", "file", "path", NULL};
	int r = check_list(check, place, service, "before_start", keys);

	return r < 0 ? r : check_list(check, place, service, "when_ready", keys);
}

int config_sockets(struct check *check)
{
	static const char *const own[] = {"password_file", "tls_certificate", "tls_key", NULL};
	static const char *const uploads[] = {"path", NULL};
	const struct place api_at = {.up = &top, .key = "api"};
	struct json_object *api = key_member(check->root, "api");
	int r = check_paths(check, &api_at, api, own);

	if (r == 0)
		r = check_list(check, &api_at, api, "uploads", uploads);
	if (r == 0)
		r = check_each(check->root, &top, "stages", check_stage, check);
	return r < 0 ? r : check_each(check->root, &top, "services", check_service, check);
}
