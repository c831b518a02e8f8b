/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements probe.h: one row for each service that has a probe, found by the node's index. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup-node.h"
#include "init/lib/loop.h"
#include "init/lib/words.h"
#include "init/process/cgroup.h"
#include "probe.h"
#include "task.h"

#define MS 1000000LL
#define AWAIT_LIMIT_MS 60000	/* for one process: whatever it hangs in, another one then looks anew */
#define AWAIT_AGAIN_MS 1000

struct probe {
	size_t node;
	enum probe_kind kind;
	bool active;			/* between probe_begin() and its answer or probe_end() */
	bool cut_off;			/* killed by probe_end() */
	unsigned failures;		/* in a row */
	struct task task;
	struct loop_timer timer;	/* the next run */
	char cgroup[CGROUP_NAME_MAX];
	char trace[TRACE_MAX];		/* of `ready.path`, at this start of the service */
	char why[160];			/* of the last failed run at this start */
};

static const struct plan *plan;
static struct probe *rows;
static size_t n_rows;
static struct probe **probes;		/* by node; NULL: it has none */
static void (*answer)(size_t node, enum probe_kind kind, const char *why);

static bool has_probe(const struct config_node *node)
{
	return node->ready_json || node->health_json || node->ready == READY_PATH || node->ready == READY_TCP;
}

/* The role `await` is the probe: it waits for the path or the port. */
static bool awaits(const struct probe *probe)
{
	return probe->kind == PROBE_READY && !plan->nodes[probe->node].config->ready_json;
}

static int64_t interval_ns(const struct probe *probe)
{
	const struct config_node *config = plan->nodes[probe->node].config;

	if (awaits(probe))
		return MS * AWAIT_AGAIN_MS;
	return MS * (probe->kind == PROBE_READY ? config->ready_interval_ms : config->health_interval_ms);
}

/* Whether the service is in the state that the probe is for. */
static bool is_wanted(const struct probe *probe)
{
	return probe->active &&
	       plan->nodes[probe->node].state == (probe->kind == PROBE_READY ? NODE_RUNNING : NODE_READY);
}

static void failed(struct probe *probe)
{
	const struct config_node *config = plan->nodes[probe->node].config;
	char text[NODE_REASON_MAX];

	probe->failures++;
	if (probe->kind == PROBE_READY || probe->failures < config->health_failures) {
		loop_arm(&probe->timer, loop_now_ns() + interval_ns(probe));
		return;
	}
	snprintf(text, sizeof(text), "watchdog: %u probe%s in a row failed: %s", probe->failures,
		 probe->failures == 1 ? "" : "s", probe->why);
	probe->active = false;
	answer(probe->node, probe->kind, text);
}

static void succeeded(struct probe *probe)
{
	probe->failures = 0;
	if (probe->kind == PROBE_READY) {
		probe->active = false;
		answer(probe->node, probe->kind, NULL);
	} else {
		loop_arm(&probe->timer, loop_now_ns() + interval_ns(probe));
	}
}

static int64_t timeout_ms(const struct probe *probe)
{
	const struct config_node *config = plan->nodes[probe->node].config;

	if (awaits(probe))
		return AWAIT_LIMIT_MS;
	return probe->kind == PROBE_READY ? config->ready_timeout_ms : config->health_timeout_ms;
}

static void ended(struct task *task, const struct process_exit *how)
{
	struct probe *probe = TASK_OWNER(struct probe, task, task);
	const char *own = how->reason ? how->reason : "";

	if (!is_wanted(probe))
		return;
	if (probe->cut_off) {
		loop_arm(&probe->timer, loop_now_ns() + (probe->kind == PROBE_READY ? 0 : interval_ns(probe)));
		return;
	}
	if (how->status == 0 && !task->late) {
		succeeded(probe);
		return;
	}
	if (task->late)
		snprintf(probe->why, sizeof(probe->why), "timed out after %g s", (double)timeout_ms(probe) / 1000);
	else if (how->status < 0)
		snprintf(probe->why, sizeof(probe->why), "killed by %s", signal_words(how->signal));
	else
		snprintf(probe->why, sizeof(probe->why), "exit status %d%s%.100s", how->status, own[0] ? ": " : "",
			 own);
	failed(probe);
}

static void run(struct probe *probe)
{
	const struct config_node *config = plan->nodes[probe->node].config;
	char port[8], folder[CGROUP_PATH_MAX] = "";
	const char *const launch[] = {"launch", config->name, NULL};
	const char *const path[] = {"await", "path", config->ready_path, probe->trace, NULL};
	const char *const tcp[] = {"await", "tcp", config->ready_address, port, folder, NULL};
	struct child_spec spec = {
		CHILD_OF_NONE,
		.source = config->name,
		.argv = !awaits(probe) ? launch : config->ready == READY_PATH ? path : tcp,
		.service = probe->kind == PROBE_READY ? config->ready_json : config->health_json,
		.quiet = true,
	};

	snprintf(port, sizeof(port), "%u", config->ready_port);
	if (cgroup_present())
		cgroup_path(cgroup_node_name(probe->node), "", folder);
	probe->cut_off = false;
	/* A process that cannot be started is not the service's failure. */
	if (task_start(&probe->task, &spec, MS * timeout_ms(probe)) < 0)
		loop_arm(&probe->timer, loop_now_ns() + interval_ns(probe));
}

static void timer_fired(struct loop_timer *timer)
{
	struct probe *probe = TASK_OWNER(struct probe, timer, timer);

	if (is_wanted(probe))
		run(probe);
}

bool probe_trace(size_t node, const char *trace, size_t size)
{
	if (!probes[node] || !size || size > TRACE_MAX || strlen(trace) != size - 1)
		return false;
	memcpy(probes[node]->trace, trace, size);
	probes[node]->why[0] = '\0';
	return true;
}

void probe_begin(size_t node, enum probe_kind kind)
{
	struct probe *probe = probes[node];

	if (!probe || (kind == PROBE_HEALTH && !plan->nodes[node].config->health_json))
		return;
	probe_end(node);
	probe->kind = kind;
	probe->active = true;
	probe->failures = 0;
	/* If the process of the previous probe is not reaped yet, ended() starts this one. */
	if (!probe->task.child)
		loop_arm(&probe->timer, loop_now_ns() + (kind == PROBE_READY ? 0 : interval_ns(probe)));
}

void probe_end(size_t node)
{
	struct probe *probe = probes[node];

	if (!probe)
		return;
	probe->active = false;
	loop_disarm(&probe->timer);
	if (!probe->task.child)
		return;
	probe->cut_off = true;
	task_kill(&probe->task);
}

const char *probe_why(size_t node)
{
	const struct probe *probe = probes[node];

	return probe && probe->kind == PROBE_READY && !awaits(probe) ? probe->why : "";
}

size_t probe_count(const struct config *config)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_nodes; i++)
		n += has_probe(&config->nodes[i]);
	return n;
}

int probe_init(const struct plan *with, void (*callback)(size_t node, enum probe_kind kind, const char *why))
{
	plan = with;
	answer = callback;
	rows = calloc(probe_count(with->config) + 1, sizeof(*rows));
	probes = calloc(with->n_nodes + 1, sizeof(struct probe *));
	if (!rows || !probes)
		return -ENOMEM;
	for (size_t i = 0; i < with->n_nodes; i++) {
		if (!has_probe(with->nodes[i].config))
			continue;
		probes[i] = &rows[n_rows++];
		probes[i]->node = i;
		probes[i]->timer.fire = timer_fired;
		probes[i]->task = (struct task){.ended = ended, .cgroup = probes[i]->cgroup};
		snprintf(probes[i]->cgroup, sizeof(probes[i]->cgroup), "%s.probe", with->nodes[i].config->name);
	}
	return 0;
}
