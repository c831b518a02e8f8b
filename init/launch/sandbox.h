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
 * is mounted below them read-only; if neither is asked for only with `own`. 0 or negative errno with the reason.
 */
int sandbox_mounts(bool own, bool private_tmp, struct json_object *read_only, char *reason, size_t size);

/* In that namespace: a path and all that is mounted below it becomes read-only. 0 or negative errno. */
int sandbox_read_only(const char *path);

/* A detached copy of what is there, a descriptor, and its mount elsewhere; the descriptor stays open. */
int sandbox_clone(const char *path);
int sandbox_place(int tree, const char *path);

#endif
