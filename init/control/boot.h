/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the rest of PID 1 may ask of the running boot: where every node stands, and to start and stop things.
 * Nothing here waits: a request is noted, and what comes of it is told by events.
 */
#ifndef INIT_CONTROL_BOOT_H
#define INIT_CONTROL_BOOT_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/control.h>

struct config;
struct plan;

/* Before the loop; both are kept. started_ns: PID 1's first instruction. */
void boot_init(const struct config *config, struct plan *plan, int64_t started_ns);

void boot_status(struct control_boot *ret);
size_t boot_nodes(void);
void boot_node(size_t index, struct control_node *ret);

/* What a node has found out, as in facts.h; of a service, what its cgroup uses. Until the next call. */
size_t boot_facts(size_t index, const char **ret);

/* A service's last lines, as of logpipe_lines(), and how many are in no file. False: it has no log. */
bool boot_lines(size_t index, size_t *at, char *out, size_t room, size_t *ret_size, uint64_t *ret_dropped);

/* The fingerprint of the API's certificate, 64 hex digits, for status. */
void boot_certificate(const char *sha256);

/* How the boot before this one ended, "key=value" NUL each (lastboot.h): told by an event, and shown in the status. */
void boot_last_shutdown(const char *fields, size_t size);

/* 0; -ENOENT: no such node; -EINVAL: not for this kind of node; -EALREADY; -ESHUTDOWN: the machine is stopping. */
int boot_start(const char *name);
int boot_stop(const char *name);
int boot_restart(const char *name);

#endif
