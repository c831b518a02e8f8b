/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Creates, limits, signals, measures and removes cgroups (v2) below /sys/fs/cgroup/gantry, by name; cgroup-node.h
 * decides when. Without cgroup2 every function here fails softly, and a node is its process group. cgroupfs is kernel
 * memory: no call waits for a disk.
 */
#ifndef INIT_PROCESS_CGROUP_H
#define INIT_PROCESS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gantry/plan.h>

#define CGROUP_NAME_MAX (NODE_NAME_MAX + 24)	/* a node's name, "~N" appended if its old cgroup was not usable */
#define CGROUP_PATH_MAX 192
#define CGROUP_UNKNOWN  UINT64_MAX

/* A field is CGROUP_UNKNOWN if the kernel does not report it (controller missing). */
struct cgroup_usage {
	uint64_t memory_bytes, memory_peak_bytes;
	uint64_t cpu_us;
	uint64_t processes;		/* number of tasks (pids.current) */
};

/*
 * Creates the base folder and enables the controllers the kernel has. Call once, after the early mounts. With
 * limit_pids, each cgroup has a `pids.max` from its creation on: 15 % of what the machine can have, so that one that
 * multiplies its processes leaves room for the others to start.
 */
void cgroup_init(bool limit_pids);
bool cgroup_present(void);

/* Creates the cgroup or uses the existing one. 0 or negative errno. */
int cgroup_make(const char *name);

/* Writes value to a file of the cgroup. 0 or negative errno; -ENOENT: this kernel has no such file. */
int cgroup_set(const char *name, const char *file, const char *value);

/* Opens the cgroup's folder for clone3(). Returns a descriptor, the caller's to close, or -1. */
int cgroup_open(const char *name);

/* Kills every process in the cgroup and below it; returns false if there is no such cgroup. */
bool cgroup_kill(const char *name);

/* Sends sig to every process in the cgroup and below it; returns false if there was none. */
bool cgroup_signal(const char *name, int sig);

bool cgroup_populated(const char *name);

/* Whether it is as cgroup_make() creates it: no process in it, no folder below it, not frozen. */
bool cgroup_bare(const char *name);

/* Removes the cgroup and those below it. 0 or negative errno; -EBUSY: processes are left in it. */
int cgroup_remove(const char *name);

void cgroup_measure(const char *name, struct cgroup_usage *ret);

/* Counts from memory.events: out of memory at its own limit, and processes OOM-killed. False: not available. */
bool cgroup_oom(const char *name, uint64_t *ret_limit_hit, uint64_t *ret_killed);

/* Returns memory.max in bytes; CGROUP_UNKNOWN: no limit. */
uint64_t cgroup_memory_max(const char *name);

/* Writes the path of a file of the cgroup (file "": of its folder) to path, CGROUP_PATH_MAX bytes, and returns path. */
const char *cgroup_path(const char *name, const char *file, char *path);

/* Copies the name of the node whose cgroup contains pid to ret (NODE_NAME_MAX bytes); false if no node's does. */
bool cgroup_of(pid_t pid, char *ret);

#endif
