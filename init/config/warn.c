/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements warn.h. Each function looks for one mistake. */
#include <fnmatch.h>
#include <string.h>

#include <json-c/json.h>

#include "container-keys.h"
#include "fill.h"
#include "image.h"
#include "init/lib/config.h"
#include "keys.h"
#include "ports.h"
#include "warn.h"
#include "writable.h"

struct warn {
	struct check *check;
	const struct config *config;
};

static const char *string_of(struct json_object *object, const char *key)
{
	struct json_object *value = key_member(object, key);

	return value ? json_object_get_string(value) : NULL;
}

static bool is_at_or_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return !strncmp(path, folder, n) && (path[n] == '/' || !path[n]);
}

/* ---- who makes a file ------------------------------------------------------------------------------------------ */

static bool renders(struct json_object *stage, const char *path)
{
	const struct stage_option *option = stage_find(string_of(stage, "type"))->options;

	for (; option && option->name; option++) {
		struct json_object *list = option->type == OPTION_OBJECTS ?
			key_member(key_member(stage, "options"), option->name) : NULL;

		for (size_t i = 0; i < fill_count(list); i++)
			for (const struct stage_option *member = option->members; member->name; member++) {
				const char *made = member->names == OPTION_NAMES_RENDERED ?
					string_of(json_object_array_get_idx(list, i), member->name) : NULL;

				if (made && !strcmp(made, path))
					return true;
			}
	}
	return false;
}

static bool any_renders(const struct check *check, const char *path)
{
	struct json_object *stages = key_member(check->root, "stages");

	for (size_t i = 0; i < fill_count(stages); i++)
		if (renders(json_object_array_get_idx(stages, i), path))
			return true;
	return false;
}

static bool any_uploads(const struct check *check, const char *path)
{
	struct json_object *uploads = key_member(key_member(check->root, "api"), "uploads");

	for (size_t i = 0; i < fill_count(uploads); i++)
		if (!strcmp(string_of(json_object_array_get_idx(uploads, i), "path"), path))
			return true;
	return false;
}

/* Steps before the start of any service. */
static bool any_step_makes(const struct check *check, const char *path)
{
	struct json_object *services = key_member(check->root, "services");

	for (size_t i = 0; i < fill_count(services); i++) {
		struct json_object *steps = key_member(json_object_array_get_idx(services, i), "before_start");

		for (size_t j = 0; j < fill_count(steps); j++) {
			struct json_object *step = json_object_array_get_idx(steps, j);
			const char *file = string_of(step, "file"), *secret = string_of(step, "secret");

			if ((file && !strcmp(file, path)) || (secret && !strcmp(secret, path)))
				return true;
		}
	}
	return false;
}

/* May it be there when it is read, though the image does not have it? */
static bool is_made(const struct warn *warn, const char *path)
{
	if (writable_elsewhere(warn->check->root, path) || any_renders(warn->check, path) ||
	    any_uploads(warn->check, path) || any_step_makes(warn->check, path))
		return true;
	for (size_t i = 0; i < warn->config->n_writable; i++)
		if (is_at_or_below(path, warn->config->writable[i]))
			return true;
	return false;
}

/* ---- files that are not there ---------------------------------------------------------------------------------- */

static void warn_missing(const struct warn *warn, const struct place *place, const char *path)
{
	char quoted[CHECK_QUOTED_MAX];
	const char *wrong;

	if (!path || path[0] != '/' || warn->check->image_fd < 0 || is_made(warn, path))
		return;
	wrong = image_lacks(warn->check, path);
	if (wrong)
		check_warn(warn->check, place, "%s: not in the image, and nothing makes it: %s",
			   check_quote(quoted, path), wrong);
}

static void warn_missing_member(const struct warn *warn, const struct place *up, struct json_object *object,
				const char *key)
{
	const struct place at = {.up = up, .key = key};

	warn_missing(warn, &at, string_of(object, key));
}

static int warn_stage(void *with, const struct place *place, struct json_object *stage)
{
	const struct warn *warn = with;
	const struct place options_at = {.up = place, .key = "options"};
	const struct stage_option *option = stage_find(string_of(stage, "type"))->options;
	struct json_object *options = key_member(stage, "options");

	for (; option && option->name; option++) {
		const struct place at = {.up = &options_at, .key = option->name};
		const char *given = string_of(options, option->name), *path = given ? given : option->fallback;

		if (option->names == OPTION_NAMES_READ && path && *path)
			warn_missing(warn, given ? &at : place, path);
	}
	return 0;
}

/* ---- services -------------------------------------------------------------------------------------------------- */

static void warn_environment(const struct warn *warn, const struct place *place, struct json_object *service)
{
	const struct place at = {.up = place, .key = "environment_file"};
	const char *path = string_of(service, "environment_file");
	struct json_object *files = key_member(key_member(service, "on_change"), "files");
	char quoted[CHECK_QUOTED_MAX];

	warn_missing(warn, &at, path);
	if (!path || !warn->config->refreshes || !any_renders(warn->check, path))
		return;
	for (size_t i = 0; i < fill_count(files); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(files, i)), path))
			return;
	check_warn(warn->check, &at, "%s is rendered again at a refresh, and read only at a start: add it to \"files\" "
		   "of \"on_change\", with the action \"restart\"", check_quote(quoted, path));
}

static void warn_steps(const struct warn *warn, const struct place *place, struct json_object *service)
{
	const struct place list = {.up = place, .key = "before_start"};
	struct json_object *steps = key_member(service, "before_start");

	for (size_t i = 0; i < fill_count(steps); i++) {
		const struct place at = {.up = &list, .index = (uint32_t)i};

		warn_missing_member(warn, &at, json_object_array_get_idx(steps, i), "from");
	}
}

/*
 * Replaced by rename, a file is another one, and the container has the old one for as long as it runs. What a refresh
 * or an upload replaces is refused (refresh.c).
 */
static void warn_volumes(const struct warn *warn, const struct place *place, struct json_object *container)
{
	const struct place list = {.up = place, .key = "volumes"};
	struct json_object *volumes = key_member(container, "volumes");

	for (size_t i = 0; i < fill_count(volumes); i++) {
		const char *volume = json_object_get_string(json_object_array_get_idx(volumes, i));
		const struct place at = {.up = &list, .index = (uint32_t)i};

		if (!strncmp(volume, "/etc/resolv.conf:", 17))
			check_warn(warn->check, &at, "\"/etc/resolv.conf\" is a file that a new lease replaces, and "
				   "the container keeps the old one: without this volume it gets the new one");
	}
}

static void warn_container(const struct warn *warn, const struct place *place, struct json_object *service)
{
	const struct place at = {.up = place, .key = "container"}, ready = {.up = place, .key = "ready"};
	const struct place tcp = {.up = &ready, .key = "tcp"};
	struct json_object *container = key_member(service, "container");

	if (!container)
		return;
	warn_missing_member(warn, &at, container, "ca");
	warn_volumes(warn, &at, container);
	if (key_member(key_member(service, "ready"), "tcp") &&
	    !strcmp(key_string(container, &container_keys, "network"), "none"))
		check_warn(warn->check, &tcp, "the container has the network \"none\": no port of it can be reached");
}

/* Otherwise a program that does not remove it by itself finds that of its earlier life. */
static void warn_ready_path(const struct warn *warn, const struct place *place, struct json_object *service)
{
	const struct place ready = {.up = place, .key = "ready"}, at = {.up = &ready, .key = "path"};
	const char *path = string_of(key_member(service, "ready"), "path");
	struct json_object *steps = key_member(service, "before_start");
	char quoted[CHECK_QUOTED_MAX];

	if (!path)
		return;
	for (size_t i = 0; i < fill_count(steps); i++) {
		const char *pattern = string_of(json_object_array_get_idx(steps, i), "remove");

		if (pattern && !fnmatch(pattern, path, FNM_PATHNAME))
			return;
	}
	check_warn(warn->check, &at, "%s is never removed, and may be there from an earlier start: add a step "
		   "\"remove\" to \"before_start\"", check_quote(quoted, path));
}

static int warn_service(void *with, const struct place *place, struct json_object *service)
{
	const struct warn *warn = with;

	warn_environment(warn, place, service);
	warn_steps(warn, place, service);
	warn_container(warn, place, service);
	warn_ready_path(warn, place, service);
	return 0;
}

/* ---- the API --------------------------------------------------------------------------------------------------- */

static void warn_api(const struct warn *warn)
{
	static const struct place top;
	const struct place at = {.up = &top, .key = "api"};
	struct json_object *api = key_member(warn->check->root, "api");
	const char *listen;

	if (!api)
		return;
	warn_missing_member(warn, &at, api, "tls_hosts_file");
	listen = key_string(api, &api_keys, "listen");
	if (!key_member(api, "password_file") && strncmp(listen, "127.", 4) && strncmp(listen, "[::1]:", 6))
		check_warn(warn->check, &at, "everybody in the network may read and act at %s: set \"password_file\", "
			   "or \"listen\" to a loopback address", listen);
}

void config_warn(struct check *check, const struct config *config)
{
	static const struct place top;
	struct warn warn = {check, config};

	if (!check->warnings)
		return;
	(void)check_each(check->root, &top, "stages", warn_stage, &warn);
	(void)check_each(check->root, &top, "services", warn_service, &warn);
	warn_api(&warn);
	ports_warn(check);
}
