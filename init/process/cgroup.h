/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cgroups (v2) below /sys/fs/cgroup/gantry, by name: made, limited, signalled, measured, removed. cgroup-node.h says
 * when. Where there is no cgroup2, everything here fails softly and a node is its process group. All of this is the
 * kernel's own memory: no call waits for a disk.
 */
#ifndef INIT_PROCESS_CGROUP_H
#define INIT_PROCESS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gantry/plan.h>

#define CGROUP_NAME_MAX (NODE_NAME_MAX + 12)	/* a node's name, and "~N" of one that could not use its old cgroup */
#define CGROUP_PATH_MAX 192
#define CGROUP_UNKNOWN  UINT64_MAX

/* CGROUP_UNKNOWN where the kernel does not say: no such controller. */
struct cgroup_usage {
	uint64_t memory_bytes, memory_peak_bytes;
	uint64_t cpu_us;
	uint64_t processes;		/* tasks, as pids.current counts them */
};

/* Makes the folder for all and turns on the controllers that are there. Call once, after the early mounts. */
void cgroup_init(void);
bool cgroup_present(void);

/* Makes it, or takes the one that is there. 0 or negative errno. */
int cgroup_make(const char *name);

/* Writes one of its files. 0 or negative errno: -ENOENT: this kernel has no such file. */
int cgroup_set(const char *name, const char *file, const char *value);

/* Its folder, for clone3: a descriptor, or -1. */
int cgroup_open(const char *name);

/* SIGKILL to every process in it, and in what it made below. False: there is none to ask. */
bool cgroup_kill(const char *name);

/* Any signal, to all of them that are there now. False: there was nobody. */
bool cgroup_signal(const char *name, int sig);

bool cgroup_populated(const char *name);

/* As cgroup_make() leaves it: no process in it, no folder below it, not frozen. */
bool cgroup_bare(const char *name);

/* Removes it with what was made below, if no process is left. 0, or negative errno: -EBUSY: some are. */
int cgroup_remove(const char *name);

void cgroup_measure(const char *name, struct cgroup_usage *ret);

/* How often its memory limit was hit for good, and how many of its processes were killed for want of memory. */
bool cgroup_oom(const char *name, uint64_t *ret_limit_hit, uint64_t *ret_killed);

/* memory.max in bytes; CGROUP_UNKNOWN: none. */
uint64_t cgroup_memory_max(const char *name);

/* The path of one of its files; file "": of itself. path: CGROUP_PATH_MAX bytes; returns it. */
const char *cgroup_path(const char *name, const char *file, char *path);

/* The name of the node in whose cgroup pid lives, copied to ret (NODE_NAME_MAX bytes); false: in none. */
bool cgroup_of(pid_t pid, char *ret);

#endif
