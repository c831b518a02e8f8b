/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements tidy.h. Each process has a deadline; what has failed is an event, and left to the next start. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "cgroup.h"
#include "cgroup-node.h"
#include "child.h"
#include "event.h"
#include "loop.h"
#include "tidy.h"

#define CGROUP      "container.tidy"	/* no node's name has a dot */
#define DEADLINE_NS (300 * 1000000000LL)

static const struct config *config;
static const int *options;
static struct row {
	bool killed;		/* its latest process was, and nobody has cleaned up since */
	bool due;
} *rows;
static struct child *child;
static size_t running;		/* the node that it is for */
static struct loop_timer deadline;

static void start_next(void);

static void not_done(const char *why)
{
	event_say(EVENT_WARNING, config->nodes[running].name, "what is left of it is not removed: %s", why);
}

static void exited(struct child *with, const struct plan_exit *how)
{
	(void)with;
	child = NULL;
	loop_disarm(&deadline);
	cgroup_discard(CGROUP);
	if (how->status != 0)
		not_done(how->reason && *how->reason ? how->reason : how->status < 0 ? strsignal(how->signal) :
			 "failed");
	start_next();
}

static void too_late(struct loop_timer *timer)
{
	(void)timer;
	if (child)
		child_signal(child, SIGKILL);
}

static int start(size_t node)
{
	static const char *const argv[] = {"container-tidy", NULL};
	struct child_spec spec = {.source = config->nodes[node].name, .argv = argv, .node = CHILD_NO_NODE,
				  .options_fd = options[node], .channel_fd = -1, .cgroup_fd = -1, .cgroup = CGROUP,
				  .quiet = true, .exited = exited};
	int r;

	if (cgroup_make(CGROUP) == 0)
		spec.cgroup_fd = cgroup_open(CGROUP);
	r = child_start(&spec, &child);
	if (spec.cgroup_fd >= 0)
		close(spec.cgroup_fd);
	return r;
}

static void start_next(void)
{
	for (size_t i = 0; i < config->n_nodes && !child && !boot_stopping(); i++) {
		int r;

		if (!rows[i].due)
			continue;
		rows[i].due = false;
		running = i;
		r = start(i);
		if (r < 0)
			not_done(strerror(-r));
		else
			loop_arm(&deadline, loop_now_ns() + DEADLINE_NS);
	}
}

void tidy_ended(size_t node, bool killed)
{
	rows[node].killed = killed && config->nodes[node].prepare_ms;
}

void tidy_changed(size_t node, enum node_state state)
{
	bool rests = state == NODE_STOPPED || state == NODE_DISABLED || state == NODE_FAILED || state == NODE_DONE;

	rows[node].due = rests && rows[node].killed;
	if (!rows[node].due)
		return;
	rows[node].killed = false;
	start_next();
}

void tidy_init(const struct config *with, const int *with_options)
{
	config = with;
	options = with_options;
	deadline.fire = too_late;
	rows = calloc(config->n_nodes + 1, sizeof(*rows));
	if (!rows)
		abort();	/* no memory before the first process: nothing can be done here */
}
