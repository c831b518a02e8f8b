/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds the stage or service of a process: by PID 1's table of children, or by its cgroup in procfs. */
#ifndef INIT_NODE_WHOSE_H
#define INIT_NODE_WHOSE_H

#include "init/plan/plan.h"

/* Call before the loop; the plan is kept. */
void whose_init(const struct plan *plan);

/* The name of the node that pid belongs to, valid as long as the plan, or NULL. Reads procfs. */
const char *whose_pid(int pid);

#endif
