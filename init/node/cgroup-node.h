/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroup of each node: created with its limits, watched for OOM kills, and, after the main process has exited,
 * waited for until it is empty, because only then has the node ended. One inotify descriptor watches all of them. A
 * node that is started again uses its old cgroup, so that memory it left behind (files in a tmpfs) still counts against
 * its limit; but it gets a new cgroup if processes or folders are left in the old one, or if it was ever killed.
 */
#ifndef INIT_NODE_CGROUP_NODE_H
#define INIT_NODE_CGROUP_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/config.h"
#include "init/process/cgroup.h"

/* A cgroup that is not empty this long after SIGKILL is abandoned. */
#define CGROUP_EMPTY_NS (10 * 1000000000LL)
/* A cgroup's memory events are read at most once in this time: a cgroup at its limit has hundreds a second. */
#define CGROUP_MEMORY_EVENTS_NS 1000000000LL
/* A usage measurement is reused for this long. */
#define CGROUP_MEASURED_NS 1000000000LL

/*
 * Creates the base folder and rows for the nodes and for `others`, the cgroups that cgroup_discard() gets at once.
 * `empty` is called for the nodes for which cgroup_node_clear() returned false. 0 or negative errno.
 */
int cgroup_node_init(const struct config *config, size_t others, void (*empty)(size_t node));

/*
 * Creates the node's cgroup with its limits, or reuses the old one. 0 and a descriptor for clone3(), the caller's to
 * close, -1 without cgroup2; -EINVAL with `reason`: the kernel refused a limit.
 */
int cgroup_node_open(size_t node, int *ret_fd, char *reason, size_t reason_size);

/* The current name of the node's cgroup. */
const char *cgroup_node_name(size_t node);

/* Signal or kill all processes of the cgroup; return false if there was none, or no cgroup. */
bool cgroup_node_signal(size_t node, int sig);
bool cgroup_node_kill(size_t node);

/* Marks the cgroup so that the next start uses a new one. */
void cgroup_node_spent(size_t node);

/*
 * Call when the main process was reaped. Kills the rest of the cgroup, unless `spare`: then the rest exits by itself or
 * the caller calls cgroup_node_kill(). Returns true if the cgroup is empty, false if `empty` will be called, once.
 */
bool cgroup_node_clear(size_t node, bool spare);

/* Call when the plan will not restart the node by itself: removes its cgroup if the node has ended. */
void cgroup_node_rest(size_t node);

/* Whether the kernel OOM-killed a process of the latest run; then writes the reason to text. */
bool cgroup_node_oom(size_t node, char *text, size_t size);
uint64_t cgroup_node_oom_kills(size_t node);	/* in all runs */

/* The node's usage, at most CGROUP_MEASURED_NS old; all fields are CGROUP_UNKNOWN while it does not run. */
const struct cgroup_usage *cgroup_node_usage(size_t node);

/* Kills and removes a cgroup that belongs to no node, at once or when its last process has exited. */
void cgroup_discard(const char *name);

#endif
