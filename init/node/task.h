/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A task: a process that is not a node of the plan: a probe, the steps of when_ready, a step of a refresh, an act, a
 * daemon of Gantry's, the teardown. It may have its own cgroup, which is killed and removed when the process has
 * exited, and a deadline, at which it is killed. Its exit is reported once.
 */
#ifndef INIT_NODE_TASK_H
#define INIT_NODE_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/exit.h"
#include "init/lib/loop.h"
#include "init/process/cgroup.h"
#include "init/process/child.h"

/* Embedded in its owner's struct, which must not move while the task runs. Initially zero but for ended and cgroup. */
struct task {
	void (*ended)(struct task *task, const struct process_exit *how);	/* may start the task again */
	const char *cgroup;		/* name of its own cgroup, must stay valid; NULL: none */
	char made[CGROUP_NAME_MAX];	/* the latest one: with "~N" if an earlier one was still being emptied */
	unsigned generation;
	struct child *child;		/* NULL: it is not running */
	bool late;			/* killed at its deadline */
	struct loop_timer deadline;
};

/* The struct that embeds a task as `member`. */
#define TASK_OWNER(type, member, task) ((type *)((char *)(task) - offsetof(type, member)))

/*
 * Starts the process of spec; exited, with, cgroup and cgroup_fd in spec are ignored. limit_ns: its deadline from now,
 * 0: none. 0, or negative errno: nothing was started and ended() is not called.
 */
int task_start(struct task *task, const struct child_spec *spec, int64_t limit_ns);

/* Kills the task with its cgroup, if it is running; ended() follows. */
void task_kill(struct task *task);

/* As task_kill(), but ended() is not called and the task may be restarted at once. Only for one without a cgroup. */
void task_abandon(struct task *task);

#endif
