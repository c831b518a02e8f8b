/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements nodes.h: one row for each node, allocated before the loop. The exit of a node's process is kept in its row
 * until cgroup-node.c reports that the cgroup is empty: then the node has ended.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gantry/stage.h>

#include "artifact.h"
#include "cgroup-node.h"
#include "init/event/event.h"
#include "init/lib/loop.h"
#include "init/lib/memfd.h"
#include "init/plan/queue.h"
#include "init/process/child.h"
#include "init/process/logpipe.h"
#include "nodes.h"
#include "probe.h"
#include "ready.h"
#include "refresh-run.h"
#include "tidy.h"
#include "tpm-owner.h"
#include "when-ready.h"

#define STARTS_IN_A_TURN 32	/* about 10 ms, which delays requests to PID 1 no longer than that */

static const struct config *config;
static struct plan *plan;
static struct child **children;		/* the live process of each node, or NULL */
static int *options;			/* sealed memfd of each stage and container; -1: any other service */
static struct ending {
	bool waiting;			/* its process has exited, its cgroup is not empty yet */
	struct process_exit how;
	char reason[NODE_REASON_MAX];
} *endings;
/* Nodes that the plan has started, without a process yet: see nodes_turn(). */
static struct queue starts;

void nodes_ended(size_t node)
{
	struct ending *ending = &endings[node];

	if (!ending->waiting)
		return;
	ending->waiting = false;
	refresh_run_ended(node, ending->how.status == STAGE_DONE);
	plan_ended(plan, node, &ending->how, loop_now_ns());
}

/* Its grace is not over; the remaining processes have the stop signal or get it now, and may exit by themselves. */
static bool may_end(size_t node)
{
	enum stop_to to = config->nodes[node].stop_to;

	if (plan->nodes[node].state != NODE_STOPPING || !plan->nodes[node].kill_ns || to == STOP_MAIN)
		return false;
	if (to == STOP_MAIN_THEN_ALL)
		cgroup_node_signal(node, config->nodes[node].stop_signal);
	return true;
}

/* podman reports the exit of its container as a shell does: 128 + signal. */
static bool died_by_kill(size_t node, const struct process_exit *how)
{
	return (how->status < 0 && how->signal == SIGKILL) ||
	       (config->nodes[node].prepare_ms && how->status == 128 + SIGKILL);
}

static void exited(struct child *child, const struct process_exit *how)
{
	size_t node = child_node(child);
	struct ending *ending = &endings[node];
	bool empty;

	children[node] = NULL;
	tidy_ended(node, how->status < 0);
	ready_forget(node);
	when_ready_forget(node);
	ending->how = *how;
	snprintf(ending->reason, sizeof(ending->reason), "%s", how->reason ? how->reason : "");
	if (died_by_kill(node, how))
		cgroup_node_spent(node);	/* the whole cgroup may have been killed, also by another process */
	if (plan->nodes[node].overdue && *probe_why(node))
		snprintf(ending->reason, sizeof(ending->reason), "%s", probe_why(node));
	empty = cgroup_node_clear(node, may_end(node));
	/* The OOM killer sent this SIGKILL: given as a status, so that the reason is shown alone. */
	if (died_by_kill(node, how) &&
	    cgroup_node_oom(node, ending->reason, sizeof(ending->reason)))
		ending->how = (struct process_exit){.status = 128 + SIGKILL, .skipped = how->skipped};
	ending->how.reason = ending->reason[0] ? ending->reason : NULL;
	ending->waiting = true;
	if (empty)
		nodes_ended(node);
}

static bool kill_node(struct child *child)
{
	return cgroup_node_kill(child_node(child));
}

static void service_started(struct child *child)
{
	plan_launched(plan, child_node(child), loop_now_ns());
	ready_watch(child_node(child));
}

static void service_reported(struct child *child, enum report_kind kind, const char *strings, size_t size)
{
	if (kind != REPORT_TRACE || !probe_trace(child_node(child), strings, size))
		event_count_drop(config->nodes[child_node(child)].name);
}

static void start_node(size_t index)
{
	const struct config_node *node = &config->nodes[index];
	const char *const stage_argv[] = {"stage", node->stage ? node->stage->type : "", node->name, NULL};
	const char *const service_argv[] = {"launch", node->name, NULL};
	bool service = node->kind == NODE_SERVICE;
	struct child_spec spec = {
		.source = node->name,
		.argv = service ? service_argv : stage_argv,
		.service = service && !node->prepare_ms ? node->json : NULL,
		.node = index,
		.options_fd = options[index],
		.channel_fd = -1,
		.kept = true,
		.kill = kill_node,
		.exited = exited,
		.started = service ? service_started : NULL,
		.reported = service ? service_reported : refresh_run_report,
		.logged = logpipe_covers(index),
	};
	char reason[NODE_REASON_MAX];
	int extra_fd;
	int r = cgroup_node_open(index, &spec.cgroup_fd, reason, sizeof(reason));

	if (r < 0) {
		plan_ended(plan, index, &(struct process_exit){.status = STAGE_NEVER, .reason = reason}, loop_now_ns());
		return;
	}
	spec.cgroup = cgroup_node_name(index);
	extra_fd = node->ready == READY_FD ? ready_pipe(index) : tpm_owner_client(node->stage);
	if (node->ready == READY_NOTIFY)
		ready_expect(index);
	probe_trace(index, "", 1);
	spec.payload_fd = extra_fd;
	r = extra_fd < 0 ? extra_fd : child_start(&spec, &children[index]);
	if (extra_fd > 0 && node->ready == READY_FD)
		ready_given(index);
	else if (extra_fd > 0)
		close(extra_fd);
	if (spec.cgroup_fd >= 0)
		close(spec.cgroup_fd);
	if (r < 0) {
		cgroup_node_clear(index, false);
		plan_not_started(plan, index, strerror(-r), loop_now_ns());
	}
}

void nodes_signal(size_t node, int sig)
{
	if (queue_remove(&starts, node))
		start_node(node);
	if (sig == SIGKILL && !children[node])
		cgroup_node_kill(node);	/* its process has exited, others of its cgroup have not */
	else if (children[node] &&
		 (sig == SIGKILL || config->nodes[node].stop_to != STOP_ALL || !cgroup_node_signal(node, sig)))
		child_signal(children[node], sig);
}

static void make_options(void)
{
	for (size_t i = 0; i < config->n_nodes; i++)
		options[i] = config->nodes[i].kind == NODE_SERVICE && !config->nodes[i].prepare_ms ? -1 :
				  memfd_sealed("options", config->nodes[i].json, config->nodes[i].json_size);
}

int nodes_init(const struct config *with, struct plan *for_plan)
{
	config = with;
	plan = for_plan;
	children = calloc(config->n_nodes + 1, sizeof(*children));
	options = calloc(config->n_nodes + 1, sizeof(*options));
	endings = calloc(config->n_nodes + 1, sizeof(*endings));
	if (!children || !options || !endings || queue_init(&starts, config->n_nodes) < 0)
		return -ENOMEM;
	make_options();
	return 0;
}

const int *nodes_options(void)
{
	return options;
}

struct child *const *nodes_children(void)
{
	return children;
}

void nodes_start(size_t node)
{
	queue_add(&starts, node);
}

/*
 * A few at a time: a thousand forks in one turn would keep every client of PID 1 waiting, and each process would be
 * forked with the descriptors of the others. Other events of the loop are handled between two batches.
 */
void nodes_turn(void)
{
	size_t node;

	for (int i = 0; i < STARTS_IN_A_TURN && queue_next(&starts, &node); i++)
		start_node(node);
}

bool nodes_waiting(void)
{
	return starts.count > 0;
}
