/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service with a root of its own (`root` in boot.json): a tree of the image, read-only, in which /proc, /sys,
 * /dev, /run and /tmp are as a program expects them, and of the machine's files the volumes alone.
 */
#ifndef INIT_LAUNCH_TREE_H
#define INIT_LAUNCH_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct json_object;

struct tree_user {
	uid_t uid;
	gid_t gid;
	gid_t *groups;		/* appended to, of max */
	size_t *n_groups, max;
};

/*
 * "NAME", "NUMBER", "NAME:GROUP" and so on, by the tree's own /etc/passwd and /etc/group, as OCI images say it: a
 * number that is in none has group 0. 0, or negative errno with the reason.
 */
int tree_find_user(const char *tree, const char *user, struct tree_user *ret, char *reason, size_t size);

/*
 * In a mount namespace of its own, as root: from here on the tree is the root of this process. /dev is still empty,
 * and what was opened before stays open. no_set_uid: set-uid files of it give nothing.
 */
int tree_enter(struct json_object *root, bool no_set_uid, char *reason, size_t size);

#endif
