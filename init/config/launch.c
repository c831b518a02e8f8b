/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds settings that would fail or have no effect in the launcher, before there is a machine: steps with too many or
 * too few keys, files for others that would be in the service's private /tmp, and resource limits that the kernel
 * refuses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include <gantry/control.h>

#include "launch.h"

#define NR_OPEN_DEFAULT 1048576	/* the kernel's own fs.nr_open */

/* A step's kind is the one of these keys that it has. */
static const struct {
	const char *kind;
	const char *details[5];
} steps[] = {
	{"directory", {"user", "group", "mode"}},
	{"secret", {"user", "group", "mode", "bytes"}},
	{"remove", {NULL}},
	{"file", {"user", "group", "mode", "from"}},
	{"path", {"user", "group", "mode"}},
};

static bool has_detail(size_t step, const char *name)
{
	for (size_t i = 0; steps[step].details[i]; i++)
		if (!strcmp(steps[step].details[i], name))
			return true;
	return false;
}

int check_step(struct check *check, const struct place *place, struct json_object *object)
{
	const char *path, *pattern;
	size_t step = 0;

	while (!key_member(object, steps[step].kind))
		step++;
	json_object_object_foreach(object, name, value) {
		(void)value;
		if (strcmp(name, steps[step].kind) && !has_detail(step, name))
			return check_fail_member(check, place, name, "\"%s\" has no \"%s\"", steps[step].kind, name);
	}
	if (!strcmp(steps[step].kind, "file") && !key_member(object, "from"))
		return check_fail(check, place, "\"from\" is missing");
	if (!strcmp(steps[step].kind, "path") && json_object_object_length(object) == 1)
		return check_fail(check, place, "changes nothing: add \"user\", \"group\" or \"mode\"");
	path = json_object_get_string(key_member(object, steps[step].kind));
	pattern = strpbrk(path, "*?[");
	if (!strcmp(steps[step].kind, "remove") && pattern && strchr(pattern, '/'))
		return check_fail_member(check, place, "remove", "only the last path segment may be a pattern");
	return 0;
}

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return !strncmp(path, folder, n) && (!path[n] || path[n] == '/');
}

static int check_seen(struct check *check, const struct place *place, struct json_object *path)
{
	const char *string = json_object_get_string(path);
	char quoted[CHECK_QUOTED_MAX];

	if (!path || (!is_below(string, "/tmp") && !is_below(string, "/var/tmp")))
		return 0;
	return check_fail(check, place, "%s would be hidden by the service's own /tmp and /var/tmp (private_tmp)",
			  check_quote(quoted, string));
}

/* The members of each step, or each string, of a list. */
static int check_list_seen(struct check *check, const struct place *up, struct json_object *object, const char *list)
{
	const struct place list_at = {.up = up, .key = list};
	struct json_object *items = key_member(object, list);
	int r = 0;

	for (size_t i = 0; r == 0 && items && i < json_object_array_length(items); i++) {
		struct json_object *item = json_object_array_get_idx(items, i);
		const struct place at = {.up = &list_at, .index = (uint32_t)i};

		if (json_object_is_type(item, json_type_string))
			r = check_seen(check, &at, item);
		for (size_t m = 0; r == 0 && json_object_is_type(item, json_type_object) &&
		     m < sizeof(steps) / sizeof(steps[0]); m++) {
			const struct place member_at = {.up = &at, .key = steps[m].kind};

			r = check_seen(check, &member_at, key_member(item, steps[m].kind));
		}
	}
	return r;
}

static int check_private_tmp(struct check *check, const struct place *place, struct json_object *object)
{
	static const char *const lists[] = {"before_start", "when_ready", "read_only"};
	const struct place ready = {.up = place, .key = "ready"}, path = {.up = &ready, .key = "path"};
	struct json_object *wanted = key_member(object, "private_tmp");
	int r;

	if (!wanted || !json_object_get_boolean(wanted))
		return 0;
	r = check_seen(check, &path, key_member(key_member(object, "ready"), "path"));
	for (size_t i = 0; r == 0 && i < sizeof(lists) / sizeof(lists[0]); i++)
		r = check_list_seen(check, place, object, lists[i]);
	return r;
}

static int check_limits(struct check *check, const struct place *place, struct json_object *object)
{
	const struct place limits_at = {.up = place, .key = "limits"}, at = {.up = &limits_at, .key = "nofile"};
	struct json_object *sysctls = key_member(check->root, "sysctls");
	struct json_object *nofile = key_member(key_member(object, "limits"), "nofile"), *raised = NULL;
	long long most = NR_OPEN_DEFAULT;

	if (json_object_is_type(sysctls, json_type_object))
		raised = key_member(sysctls, "fs.nr_open");
	if (json_object_is_type(raised, json_type_string))
		most = strtoll(json_object_get_string(raised), NULL, 10);
	if (!nofile || (json_object_is_type(nofile, json_type_int) && json_object_get_int64(nofile) <= most))
		return 0;
	return check_fail(check, &at, "%s is more than the kernel allows: %lld (sysctl \"fs.nr_open\")",
			  json_object_get_string(nofile), most);
}

bool launch_isolates(struct json_object *service)
{
	struct json_object *names = key_member(service, "capabilities"), *user = key_member(service, "user");

	for (size_t i = 0; names && i < json_object_array_length(names); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(names, i)), "SYS_ADMIN"))
			return false;
	return names && (!user || !strcmp(json_object_get_string(user), "root"));
}

static bool may_keep(const char *path)
{
	static const char *const folders[] = {"/dev", "/sys", "/proc/sys"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (is_below(path, folders[i]) && path[strlen(folders[i])])
			return true;
	return !strcmp(path, CONTROL_PATH);
}

static bool makes_devices(struct json_object *service)
{
	struct json_object *names = key_member(service, "capabilities");

	for (size_t i = 0; names && i < json_object_array_length(names); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(names, i)), "MKNOD"))
			return true;
	return false;
}

static int check_keep(struct check *check, const struct place *place, struct json_object *object)
{
	const struct place list_at = {.up = place, .key = "keep"};
	struct json_object *keep = key_member(object, "keep");
	char quoted[CHECK_QUOTED_MAX];

	if (keep && !launch_isolates(object) && !key_member(object, "root"))
		return check_fail_member(check, place, "keep", "\"keep\" is of a service of root with a list of "
					 "capabilities without SYS_ADMIN, or with a \"root\" of its own: from any "
					 "other, nothing is taken");
	for (size_t i = 0; keep && i < json_object_array_length(keep); i++) {
		const struct place at = {.up = &list_at, .index = (uint32_t)i};
		const char *path = json_object_get_string(json_object_array_get_idx(keep, i));

		if (!may_keep(path))
			return check_fail(check, &at, "%s is not below /dev, /sys or /proc/sys, and not " CONTROL_PATH,
					  check_quote(quoted, path));
		if (makes_devices(object) && is_below(path, "/dev"))
			return check_fail(check, &at, "with MKNOD, a service could have any device: \"keep\" names "
					  "none below /dev then");
	}
	return 0;
}

static int check_launch(struct check *check, const struct place *place, struct json_object *object)
{
	int r = check_private_tmp(check, place, object);

	if (key_member(object, "when_ready") && key_member(key_member(object, "ready"), "exit"))
		return check_fail_member(check, place, "when_ready",
					 "\"when_ready\" cannot be combined with \"ready.exit\"");
	if (r == 0)
		r = check_keep(check, place, object);
	return r < 0 ? r : check_limits(check, place, object);
}

int check_command(struct check *check, const struct place *place, struct json_object *object)
{
	struct place command_at = {.up = place, .key = "command"}, at = {.up = &command_at, .index = 0};
	struct json_object *command = key_member(object, "command");
	const char *program = json_object_get_string(json_object_array_get_idx(command, 0));
	char quoted[CHECK_QUOTED_MAX];

	if (path_format.fits(check->root, program) && program[1])
		return check_launch(check, place, object);
	return check_fail(check, &at, "%s %s", check_quote(quoted, program), path_format.wrong);
}
