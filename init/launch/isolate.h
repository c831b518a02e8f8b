/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service of root without CAP_SYS_ADMIN: nearly all that belongs to the machine belongs to uid 0, too, and needs no
 * capability: the disks and the TPM in /dev, settings of the kernel, cgroup.kill of others, PID 1's sockets. So it is
 * taken out of the service's view, but for what boot.json's `keep` names.
 */
#ifndef INIT_LAUNCH_ISOLATE_H
#define INIT_LAUNCH_ISOLATE_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

/*
 * In a mount namespace of its own, as root: first what it keeps is taken, then the rest is closed, and between the two
 * the service may get a root of its own (tree.h), in which nothing of the machine's is shared. keep: an array of paths,
 * may be NULL; one that is not there is nothing. net: the kernel's network settings stay writable. 0, or negative
 * errno with the reason.
 */
int isolate_keep(struct json_object *keep, bool net, bool own_root, char *reason, size_t size);
int isolate_mounts(bool own_root, char *reason, size_t size);

/*
 * No signal to a process that it did not start, and with a root of its own no abstract socket of one. Needs
 * CAP_SYS_ADMIN or no_new_privs. 0 or negative errno.
 */
int isolate_processes(bool own_root);

#endif
