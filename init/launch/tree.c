/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements tree.h. The machine's root may be the kernel's first one, out of which nothing can pivot. So a copy of
 * the tree is mounted over "/", which this process does not see yet: paths are still the machine's until it changes its
 * root to that copy. Nothing leads back, neither ".." nor an open descriptor. Links in the tree are followed in the
 * tree, and none in what belongs to the machine, where a service could have put it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>

#include "init/lib/account.h"
#include "init/lib/member.h"
#include "init/lib/words.h"
#include "sandbox.h"
#include "tree.h"

#define VOLUME_MAX (2 * PATH_MAX + 8)

static int open_how(int at, const char *path, uint64_t flags, uint64_t resolve)
{
	const struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
	int fd = (int)syscall(SYS_openat2, at, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int open_inside(int tree, const char *path, uint64_t flags)
{
	return open_how(tree, path, flags, RESOLVE_IN_ROOT);
}

static int open_machine(const char *path)
{
	return open_how(AT_FDCWD, path, O_PATH, RESOLVE_NO_SYMLINKS);
}

static const char *words(int error)
{
	return error == -ELOOP ? "symbolic link in the path" : error_words(-error);
}

/* ---- its user --------------------------------------------------------------------------------------------------- */

/* A file of the tree as a path for those who read by path; "" if it is not there. */
static int file_inside(int tree, const char *path, char ret[static 40], int *ret_fd)
{
	struct stat st;

	ret[0] = '\0';
	*ret_fd = open_inside(tree, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (*ret_fd < 0)
		return *ret_fd == -ENOENT ? 0 : *ret_fd;
	if (fstat(*ret_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	snprintf(ret, 40, "/proc/self/fd/%d", *ret_fd);
	return 0;
}

static bool is_number(const char *text, unsigned *ret)
{
	size_t n = strlen(text);

	if (!n || n > 9 || strspn(text, "0123456789") != n)
		return false;
	*ret = (unsigned)strtoul(text, NULL, 10);
	return true;
}

static int find_group(const char *path, const char *name, gid_t *ret)
{
	return is_number(name, ret) ? 0 : path[0] ? account_group(path, name, ret) : -ENOENT;
}

/* The user's name is needed for its groups; a number may have none. */
static int find_name(const char *path, const char *user, struct tree_user *ret, char name[static ACCOUNT_NAME_MAX])
{
	int r;

	if (!is_number(user, &ret->uid)) {
		snprintf(name, ACCOUNT_NAME_MAX, "%s", user);
		return path[0] ? account_user(path, user, &ret->uid, &ret->gid) : -ENOENT;
	}
	name[0] = '\0';
	ret->gid = 0;
	r = path[0] ? account_of(path, ret->uid, name, &ret->gid) : -ENOENT;
	return r == -ENOENT ? 0 : r;
}

int tree_find_user(const char *tree, const char *user, struct tree_user *ret, char *reason, size_t size)
{
	_cleanup_(cleanup_close) int root = open_machine(tree), passwd_fd = -1, group_fd = -1;
	char passwd[40], groups[40], own[ACCOUNT_NAME_MAX], name[ACCOUNT_NAME_MAX] = "";
	const char *colon = strchr(user, ':');
	const char *what = "user";
	int r = root;

	snprintf(own, sizeof(own), "%.*s", colon ? (int)(colon - user) : (int)strlen(user), user);
	if (r >= 0)
		r = file_inside(root, "etc/passwd", passwd, &passwd_fd);
	if (r >= 0)
		r = file_inside(root, "etc/group", groups, &group_fd);
	if (r >= 0)
		r = find_name(passwd, own, ret, name);
	if (r >= 0 && colon) {
		what = "group";
		r = find_group(groups, colon + 1, &ret->gid);
	} else if (r >= 0 && name[0] && groups[0]) {
		what = "groups of";
		r = account_memberships(groups, name, ret->groups, ret->n_groups, ret->max);
	}
	if (r < 0)
		snprintf(reason, size, "%s \"%s\" in %s: %s", what, colon && *what == 'g' ? colon + 1 : own, tree,
			 r != -ENOENT || root < 0 ? words(r) :
			 colon && *what == 'g' ? "no such group" : "no such user");
	return r < 0 ? r : 0;
}

/* ---- its files -------------------------------------------------------------------------------------------------- */

/* What is mounted in the tree besides volumes. */
static const struct {
	const char *path, *options;	/* options: of a tmpfs; NULL: the machine's own */
	bool may_lack;
} places[] = {
	{"/proc", NULL, false}, {"/sys", NULL, false},
	{"/dev", "mode=0755,size=64k", false},	/* until isolate_mounts() */
	{"/run", "mode=0755", false}, {"/tmp", "mode=1777", false}, {"/var/tmp", "mode=1777", true},
};

/* PID 1's sockets for every process. */
static const char *const sockets[] = {"/run/gantry/notify", "/run/gantry/events"};

/* A place to mount at, made where the tree can be written to, which is in the mounts above. */
static int make_place(int tree, const char *path, bool folder)
{
	char part[PATH_MAX], *slash;
	int at = -ENOENT;

	if (strlen(path) >= sizeof(part))
		return -ENAMETOOLONG;
	strcpy(part, path);
	for (slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
		_cleanup_(cleanup_close) int parent = -1;
		char *name;

		if (slash)
			*slash = '\0';
		at = open_inside(tree, part, O_PATH);
		if (at == -ENOENT) {
			name = strrchr(part, '/');
			*name = '\0';
			parent = open_inside(tree, part[0] ? part : "/", O_PATH | O_DIRECTORY);
			*name = '/';
			if (parent < 0)
				return parent;
			if ((slash || folder ? mkdirat(parent, name + 1, 0755)
					     : mknodat(parent, name + 1, S_IFREG | 0644, 0)) < 0)
				return -errno;
			at = open_inside(tree, part, O_PATH);
		}
		if (!slash || at < 0)
			return at;
		close(at);
		*slash = '/';
	}
}

static int place_tmpfs(int place, const char *options)
{
	char held[40];

	snprintf(held, sizeof(held), "/proc/self/fd/%d", place);
	return mount("tmpfs", held, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

/* What is mounted in the tree comes first, and the tree's own folder is under it. */
static int mount_places(int tree, char *reason, size_t size)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const char *path = places[i].path;
		_cleanup_(cleanup_close) int place = open_inside(tree, path, O_PATH | O_DIRECTORY);
		int r = place;

		if (r == -ENOENT && places[i].may_lack)
			continue;
		if (r >= 0 && places[i].options)
			r = place_tmpfs(place, places[i].options);
		else if (r >= 0)
			r = sandbox_bind(path, place, SANDBOX_READ_ONLY);
		if (r < 0) {
			snprintf(reason, size, "root: %s in it: %s", path, words(r));
			return r;
		}
	}
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		bool there = access(sockets[i], F_OK) == 0;
		_cleanup_(cleanup_close) int place = there ? make_place(tree, sockets[i], false) : -1;
		int r = !there ? 0 : place < 0 ? place : sandbox_bind(sockets[i], place, 0);

		if (r < 0) {
			snprintf(reason, size, "root: %s: %s", sockets[i], words(r));
			return r;
		}
	}
	return 0;
}

/* "SOURCE:TARGET" or "SOURCE:TARGET:ro", which boot.json's check has seen. */
static int mount_volume(int tree, const char *volume, const char **ret_of)
{
	char text[VOLUME_MAX], *target, *how;
	_cleanup_(cleanup_close) int place = -1, source = -1;
	struct stat st, there;
	int r;

	*ret_of = "";
	if (strlen(volume) >= sizeof(text))
		return -ENAMETOOLONG;
	strcpy(text, volume);
	target = strchr(text, ':');
	if (!target)
		return -EINVAL;
	*target++ = '\0';
	how = strchr(target, ':');
	if (how)
		*how = '\0';
	*ret_of = "its source: ";
	source = open_machine(text);
	if (source < 0 || fstat(source, &st) < 0)
		return source < 0 ? source : -errno;
	*ret_of = "its target: ";
	place = make_place(tree, target, S_ISDIR(st.st_mode));
	if (place < 0 || fstat(place, &there) < 0)
		return place < 0 ? place : -errno;
	*ret_of = "";
	r = sandbox_bind(text, place, SANDBOX_NO_DEVICES | (how ? SANDBOX_READ_ONLY : 0));
	if (r == -EINVAL && S_ISDIR(st.st_mode) != S_ISDIR(there.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTDIR;
	return r;
}

static const char *volume_words(int error, const char *of)
{
	return error == -EROFS ? "not in the tree, which is read-only" :
	       error == -EEXIST ? "it is, or is reached by, a link to what is not there" :
	       error == -EISDIR && !*of ? "its source is a directory, its target is none" :
	       error == -ENOTDIR && !*of ? "its target is a directory, its source is none" : words(error);
}

static int mount_volumes(int tree, struct json_object *volumes, char *reason, size_t size)
{
	for (size_t i = 0; volumes && i < json_object_array_length(volumes); i++) {
		const char *volume = json_object_get_string(json_object_array_get_idx(volumes, i));
		const char *of;
		int r = mount_volume(tree, volume, &of);

		if (r < 0) {
			snprintf(reason, size, "root: volume %s: %s%s", volume, of, volume_words(r, of));
			return r;
		}
	}
	return 0;
}

int tree_enter(struct json_object *root, bool no_set_uid, char *reason, size_t size)
{
	const char *path = json_object_get_string(key_member(root, "path"));
	_cleanup_(cleanup_close) int tree = -1;
	int r = path ? sandbox_over_root(path, no_set_uid ? SANDBOX_NO_SET_UID : 0) : -EINVAL;

	if (r < 0) {
		snprintf(reason, size, "root %s: %s", path, words(r));
		return r;
	}
	tree = r;
	r = mount_places(tree, reason, size);
	if (r == 0)
		r = mount_volumes(tree, key_member(root, "volumes"), reason, size);
	if (r == 0 && (fchdir(tree) < 0 || chroot(".") < 0)) {
		r = -errno;
		snprintf(reason, size, "root %s: %s", path, error_words(errno));
	}
	return r;
}
