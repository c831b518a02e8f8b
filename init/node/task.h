/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A task: one process for one purpose beside the nodes of the plan - a probe, the steps of when_ready, a refresh's stage,
 * an act, a daemon of ours, the teardown. It may have a cgroup of its own, which is removed when the process has exited,
 * and a deadline, at which it is killed. Its end is reported once.
 */
#ifndef INIT_NODE_TASK_H
#define INIT_NODE_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/exit.h"
#include "init/lib/loop.h"
#include "init/process/child.h"

/* Embedded in its owner's struct, which must stay in place while the task runs. Begins zeroed but for `ended`. */
struct task {
	void (*ended)(struct task *task, const struct process_exit *how);	/* it may start the task again */
	const char *cgroup;		/* its cgroup's name, which must stay valid; NULL: none of its own */
	struct child *child;		/* NULL: it does not run */
	bool late;			/* killed at its deadline */
	struct loop_timer deadline;
};

/* The struct that embeds a task as `member`. */
#define TASK_OWNER(type, member, task) ((type *)((char *)(task) - offsetof(type, member)))

/*
 * Starts it; of spec, exited, with, cgroup and cgroup_fd are filled in here. limit_ns: its deadline from now, 0: none.
 * 0 or negative errno: nothing was started and ended() is not called.
 */
int task_start(struct task *task, const struct child_spec *spec, int64_t limit_ns);

/* SIGKILL to all of it, if it runs. ended() follows. */
void task_kill(struct task *task);

/* The same, but ended() does not follow, and the task may be started again at once. Only for one without a cgroup. */
void task_abandon(struct task *task);

#endif
