/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements whose.h. */
#include "init/process/cgroup.h"
#include "init/process/child.h"
#include "whose.h"

static const struct plan *plan;

void whose_init(const struct plan *with)
{
	plan = with;
}

const char *whose_pid(int pid)
{
	const struct child *child = child_by_pid(pid);
	char name[NODE_NAME_MAX];
	size_t node;

	if (child && child_node(child) != CHILD_NO_NODE)
		return plan->nodes[child_node(child)].config->name;
	if (!child && cgroup_of(pid, name) && plan_find(plan, name, &node) == 0)
		return plan->nodes[node].config->name;
	return NULL;
}
