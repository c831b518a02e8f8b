/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which stage or service a process belongs to: by PID 1's table of children, or by the cgroup that the kernel names. */
#ifndef INIT_NODE_WHOSE_H
#define INIT_NODE_WHOSE_H

#include "init/plan/plan.h"

/* Before the loop; the plan is kept. */
void whose_init(const struct plan *plan);

/* The name of the node whose process or cgroup contains pid, or NULL. */
const char *whose_pid(int pid);

#endif
