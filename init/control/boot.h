/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The running boot as PID 1's clients see it: status of the boot and of every node, and requests to start and stop
 * nodes. Nothing here blocks: a request is passed to the plan, and its result is reported by events.
 */
#ifndef INIT_CONTROL_BOOT_H
#define INIT_CONTROL_BOOT_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/control.h>

struct config;
struct plan;

/* Call before the loop; both are kept. started_ns: time of PID 1's first instruction. */
void boot_init(const struct config *config, struct plan *plan, int64_t started_ns);

/* Sets the image's name and version for the status; both are kept. */
void boot_image(const char *name, const char *version);

void boot_status(struct control_boot *ret);
size_t boot_nodes(void);
void boot_node(size_t index, struct control_node *ret);

/* Facts of a node, as facts_of(); a service's begin with its cgroup's usage. Valid until the next call. */
size_t boot_facts(size_t index, const char **ret);

/* A service's last lines, as logpipe_lines(), and the number of lines in no file. Returns false if it has no log. */
bool boot_lines(size_t index, size_t *at, char *out, size_t room, size_t *ret_size, uint64_t *ret_dropped);

/* Sets the fingerprint of the API's certificate, 64 hex digits, and when it ends, since 1970, for the status. */
void boot_certificate(const char *sha256, int64_t end_s);

/* Sets how the previous boot ended, NUL-terminated "key=value" strings (lastboot.h), for the status and an event. */
void boot_last_shutdown(const char *fields, size_t size);

/* 0; -ENOENT: no such node; -EINVAL: not possible for this node; -EALREADY; -ESHUTDOWN: the machine is stopping. */
int boot_start(const char *name);
int boot_stop(const char *name);
int boot_restart(const char *name);

#endif
