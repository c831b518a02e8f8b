/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements root-keys.h. The tree is read-only, so all that is mounted in it has its place there already, but for what
 * is below the launcher's own file systems (init/launch/tree.c), in which it makes one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/control.h>

#include "container-keys.h"
#include "init/lib/account.h"
#include "netdaemon.h"
#include "root-keys.h"

/* With one of them, a process reads and writes what is outside of its root. */
static const char *const leaving[] = {"SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "BPF",
				      "DAC_READ_SEARCH", "CHECKPOINT_RESTORE", "PERFMON"};
static const char *const mounted[] = {"/dev", "/proc", "/sys", "/run", "/tmp"};
#define MAY_LACK "/var/tmp"	/* mounted where the tree has it */
/* Without one, of a volume's target: places that volumes do not change. */
static const char *const closed[] = {"/dev", "/proc", "/sys"};

static bool is_at_or_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return !strncmp(path, folder, n) && (path[n] == '/' || !path[n]);
}

static bool below_one(const char *path, const char *const *folders, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_at_or_below(path, folders[i]))
			return true;
	return false;
}

static size_t count(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

static const char *item(struct json_object *array, size_t i)
{
	return json_object_get_string(json_object_array_get_idx(array, i));
}

/* Of "SOURCE:TARGET" or "SOURCE:TARGET:ro", the target. */
static void target_of(const char *volume, char *ret, size_t size)
{
	const char *target = strchr(volume, ':') + 1;

	snprintf(ret, size, "%.*s", (int)strcspn(target, ":"), target);
}

static int check_volumes(struct check *check, const struct place *place, struct json_object *root)
{
	const struct place list = {.up = place, .key = "volumes"};
	struct json_object *volumes = key_member(root, "volumes");
	char quoted[CHECK_QUOTED_MAX], target[1100], other[1100];

	for (size_t i = 0; i < count(volumes); i++) {
		const struct place at = {.up = &list, .index = (uint32_t)i};

		target_of(item(volumes, i), target, sizeof(target));
		if (below_one(target, closed, sizeof(closed) / sizeof(*closed)))
			return check_fail(check, &at, "%s is at or below /dev, /proc or /sys: devices and settings are "
					  "named in \"keep\"", check_quote(quoted, target));
		for (size_t k = 0; k < i; k++) {
			target_of(item(volumes, k), other, sizeof(other));
			if (!strcmp(target, other))
				return check_fail(check, &at, "has the same target as volumes[%zu]", k);
			if (is_at_or_below(other, target))
				return check_fail(check, &at, "hides volumes[%zu], whose target is below this one's: "
						  "name this one first", k);
		}
	}
	return 0;
}

static int check_members(struct check *check, const struct place *place, struct json_object *root)
{
	const struct place at = {.up = place, .key = "path"};

	if (!json_object_get_string(key_member(root, "path"))[1])
		return check_fail(check, &at, "is the machine's own root");
	return check_volumes(check, place, root);
}

const struct keys root_keys = {(const struct key[]){
	{.name = "path", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &path_format},
	{.name = "user", .type = KEY_STRING, .format = &container_user_format},
	{.name = "volumes", .type = KEY_STRINGS, .maximum = 64, .format = &volume_format},
	{0}}, check_members};

int check_root(struct check *check, const struct place *place, struct json_object *service)
{
	static const char *const of_user[] = {"user", "group", "groups"};
	static const char *const of_files[] = {"private_tmp", "read_only"};
	const struct place list = {.up = place, .key = "capabilities"}, keep = {.up = place, .key = "keep"};
	struct json_object *root = key_member(service, "root"), *names = key_member(service, "capabilities");
	struct json_object *kept = key_member(service, "keep");

	if (!root)
		return 0;
	for (size_t i = 0; key_member(root, "user") && i < sizeof(of_user) / sizeof(*of_user); i++)
		if (key_member(service, of_user[i]))
			return check_fail_member(check, place, of_user[i], "\"%s\" cannot be set beside \"root.user\"",
						 of_user[i]);
	for (size_t i = 0; i < sizeof(of_files) / sizeof(*of_files); i++)
		if (key_member(service, of_files[i]))
			return check_fail_member(check, place, of_files[i], "\"%s\" cannot be set beside \"root\", "
						 "which is read-only and has its own /tmp", of_files[i]);
	for (size_t i = 0; i < count(names); i++)
		for (size_t k = 0; k < sizeof(leaving) / sizeof(*leaving); k++) {
			const struct place at = {.up = &list, .index = (uint32_t)i};

			if (!strcmp(item(names, i), leaving[k]))
				return check_fail(check, &at, "with %s, a service does not stay in its \"root\"",
						  leaving[k]);
		}
	for (size_t i = 0; i < count(kept); i++) {
		const struct place at = {.up = &keep, .index = (uint32_t)i};

		if (!strcmp(item(kept, i), CONTROL_PATH))
			return check_fail(check, &at, "is not in its \"root\": give it as a volume");
	}
	if (!net_daemon_is(item(key_member(service, "command"), 0)))
		return 0;
	return check_fail_member(check, place, "root", "dhcpcd and chronyd belong to the machine, and run in its root");
}

/* ---- in the image ----------------------------------------------------------------------------------------------- */

static int open_inside(int tree, const char *path, uint64_t flags)
{
	const struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	return (int)syscall(SYS_openat2, tree, path, &how, sizeof(how));
}

static const char *lacks(int tree, const char *path, bool folder)
{
	_cleanup_(cleanup_close) int fd = open_inside(tree, path, O_PATH);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return strerror(errno);
	return folder && !S_ISDIR(st.st_mode) ? "not a directory" : NULL;
}

/* A name must be in the tree's own files; a number need not. */
static int check_tree_user(struct check *check, const struct place *root_at, int tree, const char *user)
{
	const struct place at = {.up = root_at, .key = "user"};
	const char *group = strchr(user, ':');
	char quoted[CHECK_QUOTED_MAX], name[64], path[40];
	uid_t uid;
	gid_t gid;

	for (int i = 0; i < (group ? 2 : 1); i++) {
		const char *text = i && group ? group + 1 : user;
		_cleanup_(cleanup_close) int fd = -1;

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, ":"), text);
		if (strspn(name, "0123456789") == strlen(name))
			continue;
		fd = open_inside(tree, i ? "etc/group" : "etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (fd < 0 || (i ? account_group(path, name, &gid) : account_user(path, name, &uid, &gid)) < 0)
			return check_fail(check, &at, "%s is not in the tree's %s", check_quote(quoted, name),
					  i ? "/etc/group" : "/etc/passwd");
	}
	return 0;
}

static int check_targets(struct check *check, const struct place *root_at, int tree, struct json_object *volumes)
{
	const struct place list = {.up = root_at, .key = "volumes"};
	char quoted[CHECK_QUOTED_MAX], target[1100];

	for (size_t i = 0; i < count(volumes); i++) {
		const struct place at = {.up = &list, .index = (uint32_t)i};
		const char *wrong;

		target_of(item(volumes, i), target, sizeof(target));
		wrong = below_one(target, mounted, sizeof(mounted) / sizeof(*mounted)) ? NULL :
			is_at_or_below(target, MAY_LACK) ? lacks(tree, MAY_LACK, true) : lacks(tree, target, false);
		if (wrong)
			return check_fail(check, &at, "%s is not in the tree, which is read-only: %s",
					  check_quote(quoted, target), wrong);
	}
	return 0;
}

int check_root_image(struct check *check, const struct place *place, struct json_object *service)
{
	const struct place root_at = {.up = place, .key = "root"}, path_at = {.up = &root_at, .key = "path"};
	struct json_object *root = key_member(service, "root");
	const char *path = json_object_get_string(key_member(root, "path")), *user;
	char quoted[CHECK_QUOTED_MAX];
	int tree = open_inside(check->image_fd, path, O_PATH | O_DIRECTORY), r = 0;

	if (tree < 0)
		return check_fail(check, &path_at, "%s: not in the image: %s", check_quote(quoted, path),
				  strerror(errno));
	for (size_t i = 0; r == 0 && i < sizeof(mounted) / sizeof(*mounted); i++) {
		const char *wrong = lacks(tree, mounted[i], true);

		if (wrong)
			r = check_fail(check, &path_at, "%s has no %s to mount at: %s", check_quote(quoted, path),
				       mounted[i], wrong);
	}
	user = json_object_get_string(key_member(root, "user"));
	if (r == 0 && user)
		r = check_tree_user(check, &root_at, tree, user);
	if (r == 0)
		r = check_targets(check, &root_at, tree, key_member(root, "volumes"));
	if (r < 0)
		close(tree);
	return r < 0 ? r : tree;
}
