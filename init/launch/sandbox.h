/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a service may not do to the machine it shares: its view of the file system, its capabilities, and its way to
 * more of them. The launcher applies this to itself, as root, before it becomes the service; each step that cannot be
 * taken is an error, because less confinement than was asked for must not go unnoticed.
 */
#ifndef INIT_LAUNCH_SANDBOX_H
#define INIT_LAUNCH_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct json_object;

/*
 * A mount namespace with a /tmp and /var/tmp of its own, and with paths (an array of strings, may be NULL) and all that
 * is mounted below them read-only; nothing at all when neither is asked for. 0 or negative errno with the reason.
 */
int sandbox_mounts(bool private_tmp, struct json_object *read_only, char *reason, size_t size);

/*
 * Which capabilities the program shall have. All of them (bit by number), for who names none: root keeps what it has,
 * another user has none. sandbox_bound() comes before the change of user and sandbox_keep() after it.
 */
#define SANDBOX_AS_USUAL UINT64_MAX
int sandbox_bound(uint64_t capabilities);
int sandbox_keep(uint64_t capabilities, uid_t uid);

#endif
