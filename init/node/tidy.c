/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements tidy.h. Each process has a deadline; a failure is an event, and the next start or boot tries again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "artifact.h"
#include "init/event/event.h"
#include "init/lib/loop.h"
#include "init/lib/memfd.h"
#include "task.h"
#include "tidy.h"

#define CGROUP      "container.tidy"	/* no node's name has a dot */
#define DEADLINE_NS (300 * 1000000000LL)
#define STORAGE     ((size_t)-1)	/* in place of a node: the unreferenced images */

static const struct config *config;
static const struct plan *plan;
static const int *options;
static int storage_options = -1;	/* memfd: JSON array of all containers' objects; -1: no container */
static bool storage_due, storage_done;
static struct row {
	bool killed;		/* its latest process was killed, and its remains were not removed yet */
	bool due;
} *rows;
static size_t running;		/* the node that the task is for, or STORAGE */
static struct loop_timer settled;

static void start_next(void);
static void ended(struct task *with, const struct process_exit *how);

static struct task task = {.cgroup = CGROUP, .ended = ended};

/* ---- the process ---------------------------------------------------------------------------------------------- */

static void report_failure(const char *why)
{
	if (running == STORAGE)
		event_say(EVENT_WARNING, "gantry", "cannot remove unreferenced images: %s", why);
	else
		event_say(EVENT_WARNING, config->nodes[running].name, "cannot remove the remains of its container: %s",
			  why);
}

static void ended(struct task *with, const struct process_exit *how)
{
	(void)with;
	if (how->status != 0)
		report_failure(how->reason && *how->reason ? how->reason : how->status < 0 ? strsignal(how->signal) :
			       "failed");
	start_next();
}

static void start(size_t node)
{
	static const char *const argv[] = {"container-tidy", NULL};
	struct child_spec spec = {CHILD_OF_NONE, .argv = argv, .quiet = true,
				  .source = node == STORAGE ? "gantry" : config->nodes[node].name};
	int r;

	spec.options_fd = node == STORAGE ? storage_options : options[node];
	running = node;
	r = task_start(&task, &spec, DEADLINE_NS);
	if (r < 0)
		report_failure(strerror(-r));
}

static void start_next(void)
{
	for (size_t i = 0; i < config->n_nodes && !task.child && plan->state != BOOT_STOPPING; i++) {
		if (!rows[i].due)
			continue;
		rows[i].due = false;
		start(i);
	}
	if (storage_due && !task.child && plan->state != BOOT_STOPPING) {
		storage_due = false;
		start(STORAGE);
	}
}

/* ---- when ----------------------------------------------------------------------------------------------------- */

/* Whether every enabled container runs or is done, and there is one: then the images of boot.json work. */
static bool all_run(void)
{
	bool any = false;

	for (size_t i = 0; i < plan->n_nodes; i++) {
		enum node_state state = plan->nodes[i].state;

		if (!config->nodes[i].prepare_ms || state == NODE_STOPPED || state == NODE_DISABLED)
			continue;
		if (state != NODE_READY && state != NODE_DONE)
			return false;
		any = true;
	}
	return any;
}

static void has_settled(struct loop_timer *timer)
{
	(void)timer;
	storage_done = storage_due = true;
	start_next();
}

void tidy_ended(size_t node, bool killed)
{
	rows[node].killed = killed && config->nodes[node].prepare_ms;
}

void tidy_changed(size_t node, enum node_state state)
{
	bool rests = state == NODE_STOPPED || state == NODE_DISABLED || state == NODE_FAILED || state == NODE_DONE;

	if (!config->nodes[node].prepare_ms)
		return;
	rows[node].due = rests && rows[node].killed;
	if (rows[node].due)
		rows[node].killed = false;
	loop_disarm(&settled);
	if (storage_options >= 0 && !storage_done && all_run())
		loop_arm(&settled, loop_now_ns() + config->keep_unused_ms * 1000000);
	start_next();
}

/* ---- the beginning -------------------------------------------------------------------------------------------- */

/* The JSON objects of all containers, in one array. */
static int make_storage_options(void)
{
	size_t size = 1, at = 0;
	char *text;
	int fd;

	for (size_t i = 0; i < config->n_nodes; i++)
		if (config->nodes[i].prepare_ms)
			size += config->nodes[i].json_size + 1;
	if (size == 1)
		return -1;
	text = malloc(size + 1);
	if (!text)
		abort();	/* no memory before the first process: nothing can be done here */
	for (size_t i = 0; i < config->n_nodes; i++) {
		const struct config_node *node = &config->nodes[i];

		if (!node->prepare_ms)
			continue;
		text[at] = at ? ',' : '[';
		memcpy(text + at + 1, node->json, node->json_size);
		at += 1 + node->json_size;
	}
	text[at++] = ']';
	fd = memfd_sealed("options", text, at);
	free(text);
	return fd;
}

void tidy_init(const struct config *with, const struct plan *with_plan, const int *with_options)
{
	config = with;
	plan = with_plan;
	options = with_options;
	settled.fire = has_settled;
	rows = calloc(config->n_nodes + 1, sizeof(*rows));
	if (!rows)
		abort();	/* likewise */
	storage_options = make_storage_options();
}
