/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements writable.h. What a short process of Gantry's own writes (a rendered file, a secret before a start) needs
 * no such folder: init/lib/rootview.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>

#include "fill.h"
#include "hardening.h"
#include "keys.h"
#include "writable.h"

/* File systems of their own: init/pid1/early.c. */
static const char *const elsewhere[] = {"/dev", "/proc", "/run", "/sys", "/tmp"};
/* Programs, and what PID 1 reads: these and all below. Also what contains one of them: there it could be replaced. */
static const char *const closed[] = {"/init", "/bin", "/sbin", "/lib", "/lib64", "/usr", "/etc/gantry", "/var/empty",
				     "/.extra"};
/* These alone: accounts and other files of the image are in them. A folder below may be given away. */
static const char *const closed_itself[] = {"/", "/etc"};

/* One look at all of boot.json: counts the paths, or takes them. */
struct look {
	struct check *check;
	struct config *config;
	bool take;
	size_t n, n_mounts;
};

static bool is_at_or_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return !strncmp(path, folder, n) && (path[n] == '/' || !path[n]);
}

static const struct stage_option *options_of(struct json_object *stage)
{
	static const struct stage_option none[] = {{0}};
	const struct stage_option *options = stage_find(json_object_get_string(key_member(stage, "type")))->options;

	return options ? options : none;
}

static const char *option_path(struct json_object *stage, const struct stage_option *option)
{
	struct json_object *value = key_member(key_member(stage, "options"), option->name);

	return value ? json_object_get_string(value) : option->fallback;
}

static const char *file_system_of(const char *path)
{
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++)
		if (is_at_or_below(path, elsewhere[i]))
			return elsewhere[i];
	return NULL;
}

bool writable_elsewhere(struct json_object *root, const char *path)
{
	struct json_object *stages = key_member(root, "stages");

	if (file_system_of(path))
		return true;
	for (size_t i = 0; i < fill_count(stages); i++) {
		struct json_object *stage = json_object_array_get_idx(stages, i);

		for (const struct stage_option *option = options_of(stage); option->name; option++)
			if (option->names == OPTION_NAMES_MOUNT && is_at_or_below(path, option_path(stage, option)))
				return true;
	}
	return false;
}

static bool is_closed(const char *path)
{
	for (size_t i = 0; i < sizeof(closed) / sizeof(*closed); i++)
		if (is_at_or_below(path, closed[i]))
			return true;
	for (size_t i = 0; i < sizeof(closed_itself) / sizeof(*closed_itself); i++)
		if (!strcmp(path, closed_itself[i]))
			return true;
	return false;
}

/* A closed folder in this one, or NULL. */
static const char *closed_in(const char *path)
{
	for (size_t i = 0; i < sizeof(closed) / sizeof(*closed); i++)
		if (is_at_or_below(closed[i], path))
			return closed[i];
	return NULL;
}

/* In the image it is a folder, or not there yet. */
static int check_folder(struct check *check, const struct place *place, const char *path)
{
	const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	_cleanup_(cleanup_close) int fd = -1;
	char quoted[CHECK_QUOTED_MAX];
	struct stat st;

	if (check->image_fd < 0)
		return 0;
	fd = (int)syscall(SYS_openat2, check->image_fd, path, &how, sizeof(how));
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return check_fail(check, place, "%s: cannot be a directory in the image: %s",
				  check_quote(quoted, path), strerror(errno));
	return S_ISDIR(st.st_mode) ? 0 : check_fail(check, place, "%s is not a directory in the image",
						    check_quote(quoted, path));
}

static int take(struct look *look, const struct place *place, const char *path)
{
	struct config *config = look->config;
	char quoted[CHECK_QUOTED_MAX];

	if (path[0] != '/' || writable_elsewhere(look->check->root, path))
		return 0;
	if (!look->take) {
		look->n++;
		return 0;
	}
	if (is_closed(path))
		return check_fail(look->check, place, "%s holds files that root executes or reads, and the root file "
				  "system is read-only: use another folder, or \"" HARDENING_ROOT "\" in "
				  "hardening.keep", check_quote(quoted, path));
	if (closed_in(path))
		return check_fail(look->check, place, "%s contains %s, which must stay as it is in the image: use "
				  "another folder, or \"" HARDENING_ROOT "\" in hardening.keep",
				  check_quote(quoted, path), closed_in(path));
	if (check_folder(look->check, place, path) < 0)
		return -EINVAL;
	for (size_t i = 0; i < config->n_writable; i++)
		if (is_at_or_below(path, config->writable[i]))
			return 0;
	return fill_string(&config->pool, path, &config->writable[config->n_writable++]);
}

/* A member that is a folder, if it is there. */
static int take_member(struct look *look, const struct place *up, struct json_object *object, const char *key)
{
	const struct place at = {.up = up, .key = key};
	struct json_object *value = key_member(object, key);

	return value ? take(look, &at, json_object_get_string(value)) : 0;
}

/* One of `hardening.writable`: that of another file system would have no effect. */
static int take_given(struct look *look, const struct place *place, const char *path)
{
	const char *other = file_system_of(path);
	char quoted[CHECK_QUOTED_MAX];

	return !other ? take(look, place, path) :
	       !look->take ? 0 :
	       check_fail(look->check, place, "%s has no effect: %s is a file system of its own, not part of the "
			  "root file system", check_quote(quoted, path), other);
}

static int look_at_top(struct look *look, struct json_object *root)
{
	static const struct place top;
	static const char *const logs[] = {"log", "logs"};
	const struct place events = {.up = &top, .key = "events"}, fifo_at = {.up = &events, .key = "fifo"};
	const struct place hardening = {.up = &top, .key = "hardening"}, list = {.up = &hardening, .key = "writable"};
	struct json_object *fifo = key_member(key_member(root, "events"), "fifo");
	struct json_object *given = key_member(key_member(root, "hardening"), "writable");
	char folder[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < fill_count(given); i++) {
		const struct place at = {.up = &list, .index = (uint32_t)i};

		r = take_given(look, &at, json_object_get_string(json_object_array_get_idx(given, i)));
	}
	for (size_t i = 0; r == 0 && i < sizeof(logs) / sizeof(*logs); i++) {
		const struct place at = {.up = &top, .key = logs[i]};

		r = take_member(look, &at, key_member(root, logs[i]), "directory");
	}
	if (r == 0 && fifo) {
		const char *path = json_object_get_string(fifo), *slash = strrchr(path, '/');

		snprintf(folder, sizeof(folder), "%.*s", slash > path ? (int)(slash - path) : 1, path);
		r = take(look, &fifo_at, folder);
	}
	return r;
}

static int look_at_stage(void *with, const struct place *place, struct json_object *stage)
{
	struct look *look = with;
	const struct place at = {.up = place, .key = "options"};
	int r = 0;

	for (const struct stage_option *option = options_of(stage); r == 0 && option->name; option++) {
		if (option->names == OPTION_NAMES_DIRECTORY)
			r = take_member(look, &at, key_member(stage, "options"), option->name);
		if (option->names != OPTION_NAMES_MOUNT)
			continue;
		if (look->take)
			r = fill_string(&look->config->pool, option_path(stage, option),
					&look->config->mounts[look->config->n_mounts++]);
		else
			look->n_mounts++;
	}
	return r;
}

/* "SOURCE:TARGET" or "SOURCE:TARGET:ro". */
static int take_volume(struct look *look, const struct place *place, const char *volume)
{
	const char *colon = strchr(volume, ':'), *last = strrchr(volume, ':');
	char source[PATH_MAX];

	if (!strcmp(last, ":ro") && last != colon)
		return 0;
	snprintf(source, sizeof(source), "%.*s", (int)(colon - volume), volume);
	return take(look, place, source);
}

static int look_at_service(void *with, const struct place *place, struct json_object *service)
{
	struct look *look = with;
	static const struct place top;
	struct json_object *steps = key_member(service, "before_start"), *container = key_member(service, "container");
	const struct place steps_at = {.up = place, .key = "before_start"};
	const struct place tree_at = {.up = place, .key = container ? "container" : "root"};
	const struct place volumes_at = {.up = &tree_at, .key = "volumes"};
	const struct place storage_at = {.up = &top, .key = "containers"};
	struct json_object *volumes = key_member(key_member(service, tree_at.key), "volumes");
	int r = 0;

	for (size_t i = 0; r == 0 && i < fill_count(steps); i++) {
		const struct place at = {.up = &steps_at, .index = (uint32_t)i};

		r = take_member(look, &at, json_object_array_get_idx(steps, i), "directory");
	}
	for (size_t i = 0; r == 0 && i < fill_count(volumes); i++) {
		const struct place at = {.up = &volumes_at, .index = (uint32_t)i};

		r = take_volume(look, &at, json_object_get_string(json_object_array_get_idx(volumes, i)));
	}
	return r < 0 || !container ? r :
	       take_member(look, &storage_at, key_member(look->check->root, "containers"), "storage");
}

static int look_at_all(struct look *look)
{
	static const struct place top;
	struct json_object *root = look->check->root;
	int r = look_at_top(look, root);

	if (r == 0)
		r = check_each(root, &top, "stages", look_at_stage, look);
	return r < 0 ? r : check_each(root, &top, "services", look_at_service, look);
}

int config_writable(struct check *check, struct config *config)
{
	struct look look = {.check = check, .config = config};

	if (hardening_kept(config, HARDENING_ROOT))
		return 0;
	(void)look_at_all(&look);
	config->root_given = key_member(key_member(check->root, "hardening"), "writable") != NULL;
	config->writable = pool_take(&config->pool, (look.n + 1) * sizeof(*config->writable));
	config->mounts = pool_take(&config->pool, (look.n_mounts + 1) * sizeof(*config->mounts));
	if (!config->writable || !config->mounts)
		return -ENOMEM;
	look.take = true;
	return look_at_all(&look);
}
