/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements sandbox.h. A read-only path is a copy of the whole mount tree below it, made read-only while it is still
 * detached and then mounted over the original: at no moment is half of it writable, and mounts inside it are included.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>

#include "init/lib/words.h"
#include "sandbox.h"

/* linux/mount.h does not go together with sys/mount.h of every libc. */
#define TREE_CLONE     1
#define TREE_CLOEXEC   O_CLOEXEC
#define TREE_RECURSIVE 0x8000
#define TREE_EMPTY     0x1000
#define MOVE_F_EMPTY   0x4
#define MOVE_T_EMPTY   0x40
#define ATTR_RDONLY    1
#define ATTR_NOSUID    2
#define ATTR_NODEV     4

struct attributes {
	uint64_t set, clear, propagation, user_namespace;
};

static int open_place(const char *path)
{
	const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int set_attributes(int fd, uint64_t set)
{
	const struct attributes attributes = {.set = set};

	return syscall(SYS_mount_setattr, fd, "", TREE_EMPTY | TREE_RECURSIVE, &attributes, sizeof(attributes)) < 0
		? -errno : 0;
}

static int set_read_only(int fd)
{
	return set_attributes(fd, ATTR_RDONLY);
}

int sandbox_place(int tree, const char *path)
{
	return syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_F_EMPTY) < 0 ? -errno : 0;
}

int sandbox_read_only(const char *path)
{
	_cleanup_(cleanup_close) int place = open_place(path);
	_cleanup_(cleanup_close) int tree = -1;
	int r;

	if (place < 0)
		return place;
	/* A mount over / would not be seen by this process, so the namespace's own mounts are changed instead. */
	if (!path[1])
		return set_read_only(place);
	tree = (int)syscall(SYS_open_tree, place, "", TREE_CLONE | TREE_CLOEXEC | TREE_RECURSIVE | TREE_EMPTY);
	if (tree < 0)
		return -errno;
	r = set_read_only(tree);
	if (r == 0 && syscall(SYS_move_mount, tree, "", place, "", MOVE_F_EMPTY | MOVE_T_EMPTY) < 0)
		r = -errno;
	return r;
}

/* A detached copy of it, changed. */
static int copy_at(int at, const char *path, unsigned how)
{
	const uint64_t attributes = (how & SANDBOX_READ_ONLY ? ATTR_RDONLY : 0) |
				    (how & SANDBOX_NO_DEVICES ? ATTR_NODEV : 0) |
				    (how & SANDBOX_NO_SET_UID ? ATTR_NOSUID : 0);
	int tree = (int)syscall(SYS_open_tree, at, path, TREE_CLONE | TREE_CLOEXEC | TREE_RECURSIVE | TREE_EMPTY);
	int r;

	if (tree < 0)
		return -errno;
	r = attributes ? set_attributes(tree, attributes) : 0;
	if (r < 0)
		close(tree);
	return r < 0 ? r : tree;
}

int sandbox_clone(const char *path, unsigned how)
{
	return copy_at(AT_FDCWD, path, how);
}

static int copy_of(const char *path, unsigned how)
{
	_cleanup_(cleanup_close) int place = open_place(path);

	return place < 0 ? place : copy_at(place, "", how);
}

int sandbox_bind(const char *path, int place, unsigned how)
{
	_cleanup_(cleanup_close) int tree = copy_of(path, how);

	if (tree < 0)
		return tree;
	return syscall(SYS_move_mount, tree, "", place, "", MOVE_F_EMPTY | MOVE_T_EMPTY) < 0 ? -errno : 0;
}

int sandbox_over_root(const char *path, unsigned how)
{
	int tree = copy_of(path, SANDBOX_READ_ONLY | SANDBOX_NO_DEVICES | how), r;

	if (tree < 0)
		return tree;
	r = sandbox_place(tree, "/");
	if (r < 0)
		close(tree);
	return r < 0 ? r : tree;
}

static int mount_failed(const char *what, const char *path, int r, char *reason, size_t size)
{
	snprintf(reason, size, "%s %s: %s", what, path,
		 r == -ELOOP ? "symbolic link in the path" : error_words(-r));
	return r;
}

int sandbox_mounts(bool own, bool own_ipc, bool private_tmp, struct json_object *read_only, char *reason, size_t size)
{
	static const char *const tmps[] = {"/tmp", "/var/tmp"};
	size_t n = read_only ? json_object_array_length(read_only) : 0;
	int r;

	if (!own && !private_tmp && !n)
		return 0;
	/* Slave: mounts made here stay here; an unmount outside is seen here, too, where it is propagated at all. */
	if (unshare(CLONE_NEWNS | (own_ipc ? CLONE_NEWIPC : 0)) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return mount_failed("mount", "namespace", -errno, reason, size);
	/* The image may lack /var/tmp. */
	for (size_t i = 0; private_tmp && i < 2; i++)
		if (mkdir(tmps[i], 0755) < 0 && errno != EEXIST)
			return mount_failed("private_tmp", tmps[i], -errno, reason, size);
	for (size_t i = 0; i < n; i++) {
		const char *path = json_object_get_string(json_object_array_get_idx(read_only, i));

		r = sandbox_read_only(path);
		if (r < 0)
			return mount_failed("read_only", path, r, reason, size);
	}
	for (size_t i = 0; private_tmp && i < 2; i++)
		if (mount("tmp", tmps[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0)
			return mount_failed("private_tmp", tmps[i], -errno, reason, size);
	return 0;
}
