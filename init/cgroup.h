/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One cgroup (v2) for each node: its process and all that came of it, whatever they did to sessions and parents.
 * Where there is no cgroup2 (or it refuses), everything here fails softly and a node is its process group.
 */
#ifndef INIT_CGROUP_H
#define INIT_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config.h"

/* Makes /sys/fs/cgroup/gantry and turns on the controllers that are there. Call once, after the early mounts. */
void cgroup_init(void);

/* Makes the node's cgroup with its limits and opens it, for clone3. A descriptor, or -1. */
int cgroup_open(const struct config_node *node);

/* SIGKILL to every process in it. False: there is none to ask. */
bool cgroup_kill(const char *name);

/* Removes it if it is empty. */
void cgroup_remove(const char *name);

/* The name of the node in whose cgroup pid lives, copied to ret (NODE_NAME_MAX bytes); false: in none. */
bool cgroup_of(pid_t pid, char *ret);

#endif
