/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements watch.h: a row for each node that watches, made before the loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/stage.h>

#include "init/event/event.h"
#include "init/lib/loop.h"
#include "init/lib/words.h"
#include "init/process/cgroup.h"
#include "task.h"
#include "watch.h"

#define AGAIN_NS (5 * 1000000000LL)

struct watch {
	size_t node;
	bool unwanted;			/* it is being ended */
	struct task task;
	struct loop_timer again;
	char cgroup[CGROUP_NAME_MAX];
};

static const struct plan *plan;
static const int *options;
static struct watch *watches;
static size_t n_watches;

static bool has_watch(const struct config_node *node)
{
	return node->stage && node->stage->watches;
}

size_t watch_count(const struct config *config)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_nodes; i++)
		n += has_watch(&config->nodes[i]);
	return n;
}

static void ended(struct task *task, const struct process_exit *how)
{
	struct watch *watch = TASK_OWNER(struct watch, task, task);

	/* Killed, it leaves its latest report, which is no reason. */
	const char *reason = how->status >= 0 ? how->reason : NULL;

	if (!watch->unwanted) {
		event_say(EVENT_WARNING, plan->nodes[watch->node].config->name, "its watch ended (%s %d%s%s); starting "
			  "another one", how->status < 0 ? "signal" : "status",
			  how->status < 0 ? how->signal : how->status, reason ? ": " : "", reason ? reason : "");
		loop_arm(&watch->again, loop_now_ns() + AGAIN_NS);
	}
	watch->unwanted = false;
}

static void wake(struct loop_timer *timer)
{
	(void)timer;	/* watch_turn() follows */
}

static void start(struct watch *watch)
{
	static const char *const modes[] = STAGE_MODE_NAMES;
	const struct config_node *node = plan->nodes[watch->node].config;
	const char *const argv[] = {"stage", node->stage->type, node->name, modes[STAGE_WATCH], NULL};
	struct child_spec spec = {CHILD_OF_NONE, .source = node->name, .argv = argv};

	spec.node = watch->node;	/* its facts are the stage's */
	spec.options_fd = options[watch->node];
	if (task_start(&watch->task, &spec, 0) < 0)
		loop_arm(&watch->again, loop_now_ns() + AGAIN_NS);
}

void watch_turn(void)
{
	for (size_t i = 0; i < n_watches; i++) {
		struct watch *watch = &watches[i];
		bool wanted = plan->state != BOOT_STOPPING && plan->nodes[watch->node].state == NODE_DONE;

		if (wanted && !watch->task.child && !watch->again.armed) {
			start(watch);
		} else if (!wanted && watch->task.child && !watch->unwanted) {
			watch->unwanted = true;
			task_kill(&watch->task);
		}
	}
}

const char *watch_word(size_t node)
{
	for (size_t i = 0; i < n_watches; i++)
		if (watches[i].node == node && watches[i].task.child)
			return child_reason(watches[i].task.child);
	return NULL;
}

int watch_init(const struct plan *with, const int *node_options)
{
	plan = with;
	options = node_options;
	watches = calloc(watch_count(with->config) + 1, sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	for (size_t i = 0; i < with->n_nodes; i++) {
		struct watch *watch = &watches[n_watches];

		if (!has_watch(with->nodes[i].config))
			continue;
		watch->node = i;
		watch->again.fire = wake;
		watch->task = (struct task){.ended = ended, .cgroup = watch->cgroup};
		snprintf(watch->cgroup, sizeof(watch->cgroup), "%s.watch", with->nodes[i].config->name);
		n_watches++;
	}
	return 0;
}
