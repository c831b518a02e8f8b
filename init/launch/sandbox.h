/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service's own view of the file system. The launcher applies it to itself, as root, before it becomes the service; a
 * step that fails is an error, because less confinement than was asked for must not go unnoticed.
 */
#ifndef INIT_LAUNCH_SANDBOX_H
#define INIT_LAUNCH_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

/*
 * A mount namespace with a /tmp and /var/tmp of its own, and with paths (an array of strings, may be NULL) and all that
 * is mounted below them read-only; if neither is asked for only with `own`. own_ipc: memory of System V and message
 * queues of its own, too. 0 or negative errno with the reason.
 */
int sandbox_mounts(bool own, bool own_ipc, bool private_tmp, struct json_object *read_only, char *reason, size_t size);

/* In that namespace: a path and all that is mounted below it becomes read-only. 0 or negative errno. */
int sandbox_read_only(const char *path);

#define SANDBOX_READ_ONLY  1u
#define SANDBOX_NO_DEVICES 2u
#define SANDBOX_NO_SET_UID 4u

/* What is at path, in which no link is followed, and all that is mounted below it, is there at place, too. */
int sandbox_bind(const char *path, int place, unsigned how);

/* The same, read-only and without devices, over "/": a descriptor of it, to make it this process's root, or errno. */
int sandbox_over_root(const char *path, unsigned how);

/* A detached copy of what is there, links followed: a descriptor; and its mount elsewhere, which leaves that open. */
int sandbox_clone(const char *path, unsigned how);
int sandbox_place(int tree, const char *path);

#endif
