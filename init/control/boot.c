/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements boot.h: collects the status from the plan and from the modules that have the rest, and passes requests to
 * the plan.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <gantry/role.h>

#include "boot.h"
#include "init/event/event.h"
#include "init/lib/config.h"
#include "init/lib/loop.h"
#include "init/lib/procfs.h"
#include "init/node/cgroup-node.h"
#include "init/node/facts.h"
#include "init/node/nodes.h"
#include "init/node/watch.h"
#include "init/plan/plan.h"
#include "init/process/child.h"
#include "init/process/logpipe.h"

static const struct config *config;
static struct plan *plan;
static int64_t started_ns;
static char certificate_sha256[65];
static int64_t certificate_end_s;
static char last_shutdown[EVENT_FIELDS_MAX];
static size_t last_shutdown_size;
static const char *image_name = "", *image_version = "";

void boot_init(const struct config *with, struct plan *for_plan, int64_t since_ns)
{
	config = with;
	plan = for_plan;
	started_ns = since_ns;
}

void boot_image(const char *name, const char *version)
{
	image_name = name;
	image_version = version;
}

/* ---- status ---------------------------------------------------------------------------------------------------- */

/* PID 1's resident memory; 0: cannot be read now. */
static uint64_t memory_bytes(void)
{
	unsigned long long pages = 0;
	char text[64];

	if (!procfs_read(getpid(), "statm", text, sizeof(text)) || sscanf(text, "%*s %llu", &pages) != 1)
		pages = 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void boot_status(struct control_boot *ret)
{
	struct utsname system = {0};

	memset(ret, 0, sizeof(*ret));
	ret->now_ns = loop_now_ns();
	ret->started_ns = started_ns;
	ret->ended_ns = plan->ended_ns;
	ret->state = (uint8_t)plan->state;
	ret->events = event_last();
	ret->dropped = event_drops();
	event_levels(ret->events_by_level);
	ret->children = (uint32_t)child_count();
	ret->memory_bytes = memory_bytes();
	ret->turns = *loop_turns();
	uname(&system);
	snprintf(ret->kernel, sizeof(ret->kernel), "%.*s", (int)sizeof(ret->kernel) - 1, system.release);
	memcpy(ret->certificate_sha256, certificate_sha256, sizeof(ret->certificate_sha256));
	ret->certificate_end_s = certificate_end_s;
	memcpy(ret->last_shutdown, last_shutdown, last_shutdown_size);
	ret->last_shutdown_size = (uint16_t)last_shutdown_size;
	if (plan->state == BOOT_HELD)
		snprintf(ret->reason, sizeof(ret->reason), "%s", plan->reason);
	snprintf(ret->version, sizeof(ret->version), "%s", GANTRY_VERSION);
	snprintf(ret->image_name, sizeof(ret->image_name), "%s", image_name);
	snprintf(ret->image_version, sizeof(ret->image_version), "%s", image_version);
	gethostname(ret->hostname, sizeof(ret->hostname) - 1);
}

size_t boot_nodes(void)
{
	return plan->n_nodes;
}

void boot_node(size_t index, struct control_node *ret)
{
	const struct plan_node *node = &plan->nodes[index];
	const struct child *child = nodes_children()[index];
	const char *word = watch_word(index);
	const char *reason = word ? word : node->reason[0] || !child ? node->reason : child_last_text(child);

	memset(ret, 0, sizeof(*ret));
	ret->started_ns = node->started_ns;
	ret->ended_ns = node->ended_ns;
	ret->first_started_ns = node->first_started_ns;
	ret->next_start_ns = node->state == NODE_RETRYING ? node->next_ns : 0;
	ret->pid = child ? child_pid(child) : 0;
	ret->attempts = node->starts;
	ret->kind = (uint8_t)node->config->kind;
	ret->state = (uint8_t)node->state;
	ret->required = node->config->required;
	snprintf(ret->name, sizeof(ret->name), "%s", node->config->name);
	snprintf(ret->type, sizeof(ret->type), "%s", node->config->stage ? node->config->stage->type : "service");
	snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
	facts_progress(index, ret);
}

/* Writes "NAME=VALUE" and NUL; returns the size, 0 if the value is unknown or does not fit. */
static size_t put_fact(char *at, size_t room, const char *name, uint64_t value)
{
	int n = value == CGROUP_UNKNOWN ? 0 : snprintf(at, room, "%s=%" PRIu64, name, value) + 1;

	return n > 0 && (size_t)n <= room ? (size_t)n : 0;
}

/*
 * A service's usage is read on request and at most once a second, so that clients cannot keep PID 1 busy; a turn of the
 * loop answers for a few nodes only (answer.c). The API cannot read it itself: its root directory is empty.
 */
static size_t service_facts(size_t index, const char **ret)
{
	static char facts[NODE_FACTS_MAX];
	const struct cgroup_usage *usage = cgroup_node_usage(index);
	const char *own = NULL;
	size_t n = 0, n_own = facts_of(index, &own);

	n += put_fact(facts + n, sizeof(facts) - n, "memory_bytes", usage->memory_bytes);
	n += put_fact(facts + n, sizeof(facts) - n, "memory_peak_bytes", usage->memory_peak_bytes);
	n += put_fact(facts + n, sizeof(facts) - n, "cpu_us", usage->cpu_us);
	n += put_fact(facts + n, sizeof(facts) - n, "processes", usage->processes);
	n += put_fact(facts + n, sizeof(facts) - n, "oom_kills", cgroup_node_oom_kills(index));
	if (n_own <= sizeof(facts) - n) {
		memcpy(facts + n, own, n_own);
		n += n_own;
	}
	*ret = facts;
	return n;
}

size_t boot_facts(size_t index, const char **ret)
{
	return config->nodes[index].kind == NODE_SERVICE ? service_facts(index, ret) : facts_of(index, ret);
}

bool boot_lines(size_t index, size_t *at, char *out, size_t room, size_t *ret_size, uint64_t *ret_dropped)
{
	if (!logpipe_covers(index))
		return false;
	*ret_dropped = logpipe_dropped(index);
	*ret_size = logpipe_lines(index, at, out, room);
	return true;
}

void boot_certificate(const char *sha256, int64_t end_s)
{
	snprintf(certificate_sha256, sizeof(certificate_sha256), "%s", sha256);
	certificate_end_s = end_s;
}

static const char *last_field(const char *name)
{
	size_t n = strlen(name);

	for (const char *f = last_shutdown; f < last_shutdown + last_shutdown_size; f += strlen(f) + 1)
		if (!strncmp(f, name, n) && f[n] == '=')
			return f + n + 1;
	return "";
}

void boot_last_shutdown(const char *fields, size_t size)
{
	char text[NODE_REASON_MAX];
	struct fields last = {0};
	bool good;

	if (last_shutdown_size)
		return;		/* a second logger of this boot */
	last_shutdown_size = event_clean_fields(last_shutdown, sizeof(last_shutdown), fields, size);
	if (!last_shutdown_size)
		return;
	good = !strcmp(last_field("in_order"), "true");
	if (good)
		snprintf(text, sizeof(text), "previous boot ended in order: %s by %s%s%s", last_field("for"),
			 last_field("by"), *last_field("reason") ? ": " : "", last_field("reason"));
	else
		snprintf(text, sizeof(text), "unclean: previous boot did not shut down in order");
	memcpy(last.bytes, last_shutdown, last_shutdown_size);
	last.size = last_shutdown_size;
	event_tell(good && !strcmp(last_field("clean"), "true") ? EVENT_INFO : EVENT_WARNING, "gantry", &last, "%s",
		   text);
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

int boot_start(const char *name)
{
	size_t node;
	int r = plan_find(plan, name, &node);

	return r < 0 ? r : plan_start(plan, node, loop_now_ns());
}

int boot_stop(const char *name)
{
	size_t node;
	int r = plan_find(plan, name, &node);

	return r < 0 ? r : plan_stop(plan, node, false, loop_now_ns());
}

int boot_restart(const char *name)
{
	size_t node;
	int r = plan_find(plan, name, &node);

	return r < 0 ? r : plan_stop(plan, node, true, loop_now_ns());
}
