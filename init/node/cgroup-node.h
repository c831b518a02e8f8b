/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroup of each node through its life: made with its limits, watched for kills by the kernel, and after the main
 * process waited for until it is empty, because only then has the node ended. One inotify descriptor watches all of
 * them. A node that fails and is started again finds its cgroup as it was, so that what it left behind, a file in
 * memory, still counts against its limit; unless something is left that SIGKILL or a restart does not clear away:
 * then it gets a new one.
 */
#ifndef INIT_NODE_CGROUP_NODE_H
#define INIT_NODE_CGROUP_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/config.h"
#include "init/process/cgroup.h"

/* After SIGKILL to all, this long until a cgroup that is not empty is left to itself. */
#define CGROUP_EMPTY_NS (10 * 1000000000LL)
/* A cgroup's memory events are looked at this often at most: at its limit it has hundreds a second. */
#define CGROUP_MEMORY_EVENTS_NS 1000000000LL
/* What was measured serves whoever asks again within this time. */
#define CGROUP_MEASURED_NS 1000000000LL

/*
 * Room for the nodes and for as many others as cgroup_discard() gets at once, and the base folder. `empty` is called for
 * the nodes of which cgroup_node_clear() returned false. 0 or negative errno.
 */
int cgroup_node_init(const struct config *config, size_t others, void (*empty)(size_t node));

/*
 * Makes it with its limits, or takes the one that is there. 0 and a descriptor for clone3, -1 where there is no
 * cgroup2; -EINVAL: a limit refused.
 */
int cgroup_node_open(size_t node, int *ret_fd, char *reason, size_t reason_size);

/* What it is called now. */
const char *cgroup_node_name(size_t node);

/* False: there was nobody to signal, or no cgroup. */
bool cgroup_node_signal(size_t node, int sig);
bool cgroup_node_kill(size_t node);

/* It is not to be kept for the next start. */
void cgroup_node_spent(size_t node);

/*
 * Its main process was reaped. What is left gets SIGKILL, unless `spare`: then cgroup_node_kill() is still to come, or
 * all end by themselves. True: nothing is left. False: `empty` will be called for it, once.
 */
bool cgroup_node_clear(size_t node, bool spare);

/* It is not to be started again by itself: its cgroup goes, if it has ended. */
void cgroup_node_rest(size_t node);

/* Whether the kernel has killed something of its latest run for want of memory, and that in words. */
bool cgroup_node_oom(size_t node, char *text, size_t size);
uint64_t cgroup_node_oom_kills(size_t node);	/* of all its runs */

/* What it uses, CGROUP_MEASURED_NS old at most; without a process all is CGROUP_UNKNOWN. */
const struct cgroup_usage *cgroup_node_usage(size_t node);

/* Removes one that is no node's, at once or when the last process has gone. */
void cgroup_discard(const char *name);

#endif
