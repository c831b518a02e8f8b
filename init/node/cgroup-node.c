/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements cgroup-node.h. A cgroup to be removed that is not empty is a row of `leaving`, with a watch on its
 * cgroup.events; `lives` has the current cgroup of each node, with a watch on its memory.events. Watches are removed
 * explicitly: removing a folder of cgroupfs does not remove the watches on its files.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cgroup-node.h"
#include "init/event/event.h"
#include "init/lib/loop.h"

#define NO_NODE    ((size_t)-1)
#define LEFT_MAX   32	/* additional rows, for abandoned cgroups */
#define TURN_READS 8

struct life {
	char name[CGROUP_NAME_MAX];
	unsigned generation;
	bool made;			/* the cgroup exists, with its limits */
	bool running;			/* and the node runs in it */
	bool spent;			/* it was, or may have been, killed as a whole */
	bool quiet;			/* not watched until look_timer fires */
	int memory_wd;			/* -1: none */
	uint64_t limit_hit, killed;	/* counts of this cgroup that are already reported */
	uint64_t killed_now, killed_ever;	/* in this run, and in all */
	char limit[64];			/* the limit that the latest kill was for */
	struct cgroup_usage usage;
	int64_t measured_ns;
};

struct leaving {
	char name[CGROUP_NAME_MAX];	/* "": the row is free */
	int wd;
	size_t node;			/* ends when the cgroup is empty; NO_NODE: none */
	int64_t due_ns;			/* when the node ends anyway; 0: SIGKILL was not sent yet */
};

static const struct config *config;
static void (*report_empty)(size_t node);
static struct life *lives;
static struct leaving *leaving;
static size_t n_leaving;
static struct loop_source source = LOOP_SOURCE_INIT;
static struct loop_timer bound_timer, look_timer;

static int watch(const char *name, const char *file)
{
	char path[CGROUP_PATH_MAX];

	return source.fd < 0 ? -1 : inotify_add_watch(source.fd, cgroup_path(name, file, path), IN_MODIFY);
}

static void unwatch(int *wd)
{
	if (*wd >= 0)
		inotify_rm_watch(source.fd, *wd);
	*wd = -1;
}

/* ---- OOM kills ------------------------------------------------------------------------------------------------- */

static void keep_limit(struct life *life, bool own)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	uint64_t limit = cgroup_memory_max(life->name);
	double value = (double)limit;
	size_t i = 0;

	snprintf(life->limit, sizeof(life->limit), "whole machine");
	if (!own || limit == CGROUP_UNKNOWN)
		return;
	for (; value >= 1024 && i + 1 < sizeof(units) / sizeof(*units); i++)
		value /= 1024;
	snprintf(life->limit, sizeof(life->limit), "memory.max %.4g %s", value, units[i]);
}

bool cgroup_node_oom(size_t node, char *text, size_t size)
{
	if (!lives[node].killed_now)
		return false;
	snprintf(text, size, "killed by the kernel: out of memory (%s)", lives[node].limit);
	return true;
}

uint64_t cgroup_node_oom_kills(size_t node)
{
	return lives[node].killed_ever;
}

/* Reports new OOM kills as an event. */
static void look(size_t node)
{
	struct life *life = &lives[node];
	uint64_t hit, killed;
	struct fields fields = {0};
	char text[NODE_REASON_MAX];

	if (!life->made || !cgroup_oom(life->name, &hit, &killed) || killed <= life->killed)
		return;
	keep_limit(life, hit > life->limit_hit);
	fields_add(&fields, "oom_kills", "%" PRIu64, killed - life->killed);
	life->killed_now += killed - life->killed;
	life->killed_ever += killed - life->killed;
	life->limit_hit = hit;
	life->killed = killed;
	cgroup_node_oom(node, text, sizeof(text));
	event_tell(EVENT_WARNING, config->nodes[node].name, &fields, "%s", text);
}

static void look_again(struct loop_timer *timer)
{
	(void)timer;
	for (size_t i = 0; i < config->n_nodes; i++) {
		struct life *life = &lives[i];

		if (!life->made || !life->quiet)
			continue;
		life->quiet = false;
		life->memory_wd = watch(life->name, "memory.events");
		look(i);
	}
}

static void memory_event(size_t node)
{
	look(node);
	unwatch(&lives[node].memory_wd);
	lives[node].quiet = true;
	if (!look_timer.armed)
		loop_arm(&look_timer, loop_now_ns() + CGROUP_MEMORY_EVENTS_NS);
}

/* ---- cgroups being emptied ------------------------------------------------------------------------------------- */

static struct leaving *leaving_of(size_t node)
{
	for (size_t i = 0; i < n_leaving; i++)
		if (leaving[i].name[0] && leaving[i].node == node)
			return &leaving[i];
	return NULL;
}

static void arm_bound(void)
{
	int64_t due = 0;

	for (size_t i = 0; i < n_leaving; i++)
		if (leaving[i].name[0] && leaving[i].node != NO_NODE && leaving[i].due_ns &&
		    (!due || leaving[i].due_ns < due))
			due = leaving[i].due_ns;
	if (due)
		loop_arm(&bound_timer, due);
	else
		loop_disarm(&bound_timer);
}

static bool removed(struct leaving *row)
{
	int r = cgroup_remove(row->name);
	size_t node = row->node;

	if (r == -EBUSY)
		return false;
	unwatch(&row->wd);
	*row = (struct leaving){.wd = -1};
	if (node != NO_NODE) {
		arm_bound();
		report_empty(node);
	}
	return true;
}

static void bound_over(struct loop_timer *timer)
{
	int64_t now = loop_now_ns();

	(void)timer;
	for (size_t i = 0; i < n_leaving; i++) {
		struct leaving *row = &leaving[i];
		size_t node = row->node;

		if (!row->name[0] || node == NO_NODE || !row->due_ns || now < row->due_ns || removed(row))
			continue;
		event_say(EVENT_ERROR, config->nodes[node].name, "cgroup %s: processes remain %lld s after SIGKILL; "
			  "abandoning it, the next start uses a new cgroup", row->name,
			  CGROUP_EMPTY_NS / 1000000000);
		row->node = NO_NODE;
		lives[node].generation++;
		report_empty(node);
	}
	arm_bound();
}

/* 1: removed at once; 0: it is in the table; -ENOSPC: the table is full. */
static int leave(const char *name, size_t node, bool spare)
{
	struct leaving *row = NULL;

	if (cgroup_remove(name) != -EBUSY)
		return 1;
	if (!spare)
		cgroup_kill(name);
	for (size_t i = 0; i < n_leaving && !row; i++)
		if (!leaving[i].name[0])
			row = &leaving[i];
	if (!row)
		return -ENOSPC;
	snprintf(row->name, sizeof(row->name), "%s", name);
	row->node = NO_NODE;
	row->wd = watch(name, "cgroup.events");
	if (removed(row))	/* it became empty before the watch existed */
		return 1;
	row->node = node;
	row->due_ns = spare ? 0 : loop_now_ns() + CGROUP_EMPTY_NS;
	arm_bound();
	return 0;
}

void cgroup_discard(const char *name)
{
	if (leave(name, NO_NODE, false) == -ENOSPC)
		event_say(EVENT_WARNING, "gantry", "cgroup %s not removed: too many cgroups are still being emptied",
			  name);
}

/* inotify lost events, of any watch. */
static void all_woken(void)
{
	for (size_t i = 0; i < n_leaving; i++)
		if (leaving[i].name[0])
			removed(&leaving[i]);
	for (size_t i = 0; i < config->n_nodes; i++)
		look(i);
}

static void woken(int wd)
{
	for (size_t i = 0; i < n_leaving; i++) {
		if (leaving[i].name[0] && leaving[i].wd == wd) {
			removed(&leaving[i]);
			return;
		}
	}
	for (size_t i = 0; i < config->n_nodes; i++) {
		if (lives[i].memory_wd == wd) {
			memory_event(i);
			return;
		}
	}
}

static void inotify_ready(struct loop_source *from, uint32_t events)
{
	union {
		struct inotify_event event;
		char bytes[1024];
	} buffer;

	(void)events;
	for (int i = 0; i < TURN_READS; i++) {
		ssize_t n = read(from->fd, buffer.bytes, sizeof(buffer.bytes));

		for (ssize_t at = 0; at + (ssize_t)sizeof(buffer.event) <= n;) {
			const struct inotify_event *event = (const struct inotify_event *)(buffer.bytes + at);

			if (event->mask & IN_Q_OVERFLOW)
				all_woken();
			else if (event->mask & IN_MODIFY)
				woken(event->wd);
			at += (ssize_t)sizeof(*event) + event->len;
		}
		if (n <= 0)
			return;
	}
}

/* ---- the cgroup of a node -------------------------------------------------------------------------------------- */

const char *cgroup_node_name(size_t node)
{
	return lives[node].name;
}

bool cgroup_node_signal(size_t node, int sig)
{
	return cgroup_signal(lives[node].name, sig);
}

bool cgroup_node_kill(size_t node)
{
	struct leaving *row = leaving_of(node);

	if (row && !row->due_ns) {
		row->due_ns = loop_now_ns() + CGROUP_EMPTY_NS;
		arm_bound();
	}
	lives[node].spent = true;
	return cgroup_kill(lives[node].name);
}

/* 0; 1: no cgroup2; -EINVAL: the kernel refused a limit. */
static int make(size_t node, char *reason, size_t reason_size)
{
	const struct config_node *with = &config->nodes[node];
	struct life *life = &lives[node];

	if (life->generation)
		snprintf(life->name, sizeof(life->name), "%s~%u", with->name, life->generation);
	life->limit_hit = life->killed = 0;
	if (cgroup_make(life->name) < 0)
		return 1;
	for (size_t i = 0; i < with->n_cgroup; i++) {
		const struct config_setting *setting = &with->cgroup[i];
		const char *file = setting->name, *value = setting->value;
		int r = cgroup_set(life->name, file, value);

		if (r == -ENOENT && setting->known) {
			event_say(EVENT_WARNING, with->name,
				  "cgroup %s: this kernel has no such limit, running without it", file);
		} else if (r < 0) {
			snprintf(reason, reason_size, "cgroup %s: \"%.64s\" refused: %s", file, value, strerror(-r));
			cgroup_remove(life->name);
			return -EINVAL;
		}
	}
	life->made = true;
	life->memory_wd = watch(life->name, "memory.events");
	return 0;
}

int cgroup_node_open(size_t node, int *ret_fd, char *reason, size_t reason_size)
{
	struct life *life = &lives[node];
	int r = life->made ? 0 : make(node, reason, reason_size);

	*ret_fd = -1;
	if (r != 0)
		return r < 0 ? r : 0;
	life->killed_now = 0;
	life->measured_ns = 0;
	life->running = true;
	*ret_fd = cgroup_open(life->name);
	return 0;
}

/* The cgroup is no longer the node's. */
static void let_go(struct life *life)
{
	unwatch(&life->memory_wd);
	life->made = life->quiet = life->spent = false;
}

void cgroup_node_spent(size_t node)
{
	lives[node].spent = true;
}

bool cgroup_node_clear(size_t node, bool spare)
{
	struct life *life = &lives[node];
	int r;

	if (!life->running)
		return true;
	look(node);
	life->running = false;
	/*
	 * Some kernels (6.18) kill at once a process that clone3() starts in a cgroup whose cgroup.kill was written.
	 * Whose port it is, the id says: an earlier life's socket, which another process may hold, has another.
	 */
	if (!life->spent && config->nodes[node].ready != READY_TCP && cgroup_bare(life->name))
		return true;
	let_go(life);
	r = leave(life->name, node, spare);
	if (r == -ENOSPC) {
		event_say(EVENT_ERROR, config->nodes[node].name, "cgroup %s not removed: too many cgroups are still "
			  "being emptied; the next start uses a new cgroup", life->name);
		life->generation++;
	}
	return r != 0;
}

void cgroup_node_rest(size_t node)
{
	struct life *life = &lives[node];

	if (!life->made || life->running)
		return;
	let_go(life);
	cgroup_discard(life->name);
}

const struct cgroup_usage *cgroup_node_usage(size_t node)
{
	struct life *life = &lives[node];
	int64_t now = loop_now_ns();

	if (!life->running) {
		life->usage = (struct cgroup_usage){CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN};
	} else if (!life->measured_ns || now - life->measured_ns >= CGROUP_MEASURED_NS) {
		cgroup_measure(life->name, &life->usage);
		life->measured_ns = now;
	}
	return &life->usage;
}

int cgroup_node_init(const struct config *with, size_t others, void (*empty)(size_t node))
{
	int fd;

	config = with;
	report_empty = empty;
	bound_timer.fire = bound_over;
	look_timer.fire = look_again;
	source.ready = inotify_ready;
	n_leaving = config->n_nodes + others + LEFT_MAX;
	lives = calloc(config->n_nodes + 1, sizeof(*lives));
	leaving = calloc(n_leaving, sizeof(*leaving));
	if (!lives || !leaving)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_nodes; i++) {
		snprintf(lives[i].name, sizeof(lives[i].name), "%s", config->nodes[i].name);
		lives[i].memory_wd = -1;
	}
	cgroup_init(config->limit_pids);
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return loop_take(&source, fd < 0 ? -errno : fd, EPOLLIN);
}
