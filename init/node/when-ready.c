/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements when-ready.h. The steps run outside the service's cgroup, so that the service can end without them. Its
 * readiness deadline covers the steps and ends both.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artifact.h"
#include "init/lib/loop.h"
#include "init/lib/memfd.h"
#include "task.h"
#include "when-ready.h"

static const struct config *config;
static struct plan *plan;
static struct work {
	int steps;		/* sealed memfd; -1: the service has none */
	struct task task;
} *works;

size_t when_ready_children(const struct config *of)
{
	size_t n = 0;

	for (size_t i = 0; i < of->n_nodes; i++)
		n += of->nodes[i].when_ready != NULL;
	return n;
}

static void ended(struct task *task, const struct process_exit *how)
{
	char why[NODE_REASON_MAX];
	size_t node = (size_t)(TASK_OWNER(struct work, task, task) - works);

	if (how->status == 0) {
		plan_ready(plan, node, loop_now_ns());
		return;
	}
	snprintf(why, sizeof(why), "when_ready: %.*s", NODE_REASON_MAX - 16,
		 how->reason && how->reason[0] ? how->reason : "the steps failed without a message");
	plan_unready(plan, node, why, loop_now_ns());
}

int when_ready_init(const struct config *with, struct plan *for_plan)
{
	config = with;
	plan = for_plan;
	works = calloc(config->n_nodes + 1, sizeof(*works));
	if (!works)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_nodes; i++) {
		const char *steps = config->nodes[i].when_ready;

		works[i].task.ended = ended;
		works[i].steps = steps ? memfd_sealed("steps", steps, strlen(steps)) : -1;
	}
	return 0;
}

void when_ready_begin(size_t node)
{
	static const char *const argv[] = {"steps", NULL};
	struct child_spec spec = {CHILD_OF_NONE, .source = config->nodes[node].name, .argv = argv};
	char why[NODE_REASON_MAX];
	int r;

	if (!config->nodes[node].when_ready) {
		plan_ready(plan, node, loop_now_ns());
		return;
	}
	when_ready_forget(node);
	spec.options_fd = works[node].steps;
	r = works[node].steps < 0 ? works[node].steps : task_start(&works[node].task, &spec, 0);
	if (r == 0)
		return;
	snprintf(why, sizeof(why), "when_ready: cannot start the steps: %s", strerror(-r));
	plan_unready(plan, node, why, loop_now_ns());
}

void when_ready_forget(size_t node)
{
	task_abandon(&works[node].task);
}
