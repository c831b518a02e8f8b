/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements task.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cgroup-node.h"
#include "init/process/cgroup.h"
#include "task.h"

static void exited(struct child *child, const struct process_exit *how)
{
	struct task *task = child_with(child);

	if (!task)
		return;		/* abandoned */
	task->child = NULL;
	loop_disarm(&task->deadline);
	if (task->cgroup)
		cgroup_discard(task->made);
	task->ended(task, how);
}

static void expire(struct loop_timer *timer)
{
	struct task *task = TASK_OWNER(struct task, deadline, timer);

	task->late = true;
	task_kill(task);
}

/*
 * A cgroup in which something of the run before is still ending is left alone: since Linux 6.14 the kernel also kills a
 * process that is forked into a cgroup which was killed once. A descriptor, or -1: there is none.
 */
static int open_cgroup(struct task *task)
{
	if (!task->made[0])
		snprintf(task->made, sizeof(task->made), "%s", task->cgroup);
	while (cgroup_remove(task->made) == -EBUSY)
		snprintf(task->made, sizeof(task->made), "%s~%u", task->cgroup, ++task->generation);
	return cgroup_make(task->made) == 0 ? cgroup_open(task->made) : -1;
}

int task_start(struct task *task, const struct child_spec *with, int64_t limit_ns)
{
	struct child_spec spec = *with;
	int r;

	if (task->child)
		return -EBUSY;
	spec.exited = exited;
	spec.with = task;
	spec.cgroup_fd = task->cgroup ? open_cgroup(task) : -1;
	spec.cgroup = task->cgroup ? task->made : NULL;
	task->late = false;
	r = child_start(&spec, &task->child);
	if (spec.cgroup_fd >= 0)
		close(spec.cgroup_fd);
	if (r < 0) {
		task->child = NULL;
		if (task->cgroup)
			cgroup_discard(task->made);
		return r;
	}
	task->deadline.fire = expire;
	if (limit_ns)
		loop_arm(&task->deadline, loop_now_ns() + limit_ns);
	return 0;
}

void task_kill(struct task *task)
{
	if (task->child)
		child_signal(task->child, SIGKILL);
}

void task_abandon(struct task *task)
{
	struct child *child = task->child;

	task->child = NULL;
	loop_disarm(&task->deadline);
	if (!child)
		return;
	child_disown(child);
	child_signal(child, SIGKILL);
}
