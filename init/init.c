/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1: brings the machine up far enough to run the loop, then performs what the plan asks and feeds it what
 * happens. Before the loop an error is an event and a held boot; from the loop on nothing is fatal: what cannot be
 * had now is asked for again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <gantry/role.h>

#include "act.h"
#include "artifact.h"
#include "birth.h"
#include "boot.h"
#include "button.h"
#include "cgroup-node.h"
#include "child.h"
#include "config.h"
#include "console.h"
#include "control.h"
#include "daemon.h"
#include "early.h"
#include "event.h"
#include "eventsock.h"
#include "facts.h"
#include "fifo.h"
#include "forkserver.h"
#include "image.h"
#include "logpipe.h"
#include "loop.h"
#include "plan.h"
#include "probe.h"
#include "ready.h"
#include "refresh-run.h"
#include "sender.h"
#include "shutdown.h"
#include "signals.h"
#include "starts.h"
#include "watchdog.h"
#include "table.h"
#include "tidy.h"
#include "when-ready.h"

#define CONFIG_PATH  "/etc/gantry/boot.json"
#define MODULES_PATH "/etc/gantry/modules"
#define STARTS_IN_A_TURN 32	/* some 10 ms: who asks PID 1 something waits no longer than that */

static struct config *config;
static struct plan plan;
static struct child **node_child;	/* the live process of each node, or NULL */
static int *node_options;		/* sealed memfd of each stage and container; -1: any other service */
static struct left {
	bool waiting;			/* its process was reaped, its cgroup is not empty yet */
	struct plan_exit how;
	char reason[NODE_REASON_MAX];
} *node_left;
static struct loop_timer plan_timer;
static struct starts starts;
static int64_t started_ns;
static struct child *teardown;
static bool nodes_down;
static char certificate_sha256[65];
static char last_shutdown[EVENT_FIELDS_MAX];
static size_t last_shutdown_size;

static void nothing(struct loop_timer *timer)
{
	(void)timer;	/* the loop's turn itself is what the plan waits for */
}

/* ---- performing the plan's actions ---------------------------------------------------------------------------- */

/* A node has ended when the last process of its cgroup has. */
static void node_gone(size_t node)
{
	struct left *left = &node_left[node];

	if (!left->waiting)
		return;
	left->waiting = false;
	refresh_run_ended(node);
	if (config->nodes[node].stage && config->nodes[node].stage->refresh == STAGE_FETCHES)
		refresh_run_config_ended(node, left->how.status == STAGE_DONE);
	plan_exited(&plan, node, &left->how, loop_now_ns());
}

/* Told to stop, all of it, and its grace is not over: what is left may still end by itself. */
static bool may_end(size_t node)
{
	return plan.nodes[node].state == NODE_STOPPING && plan.nodes[node].kill_ns && config->nodes[node].stop_all;
}

/* podman tells of its container's end as a shell does. */
static bool died_by_kill(size_t node, const struct plan_exit *how)
{
	return (how->status < 0 && how->signal == SIGKILL) ||
	       (config->nodes[node].prepare_ms && how->status == 128 + SIGKILL);
}

static void node_exited(struct child *child, const struct plan_exit *how)
{
	size_t node = child_node(child);
	struct left *left = &node_left[node];
	bool gone;

	node_child[node] = NULL;
	tidy_ended(node, how->status < 0);
	ready_forget(node);
	when_ready_forget(node);
	left->how = *how;
	snprintf(left->reason, sizeof(left->reason), "%s", how->reason ? how->reason : "");
	gone = cgroup_node_end(node, may_end(node));
	/* It was not PID 1 that sent this SIGKILL; as a status of its own the reason stands alone. */
	if (died_by_kill(node, how) &&
	    cgroup_node_oom(node, left->reason, sizeof(left->reason)))
		left->how.status = 128 + SIGKILL;
	left->how.reason = left->reason[0] ? left->reason : NULL;
	left->waiting = true;
	if (gone)
		node_gone(node);
}

static bool kill_node(struct child *child)
{
	return cgroup_node_kill(child_node(child));
}

static void service_started(struct child *child)
{
	plan_launched(&plan, child_node(child), loop_now_ns());
	ready_watch(child_node(child));
}

static void probe_answered(size_t node, enum probe_kind kind, const char *why)
{
	if (kind == PROBE_READY)
		ready_probed(node);
	else
		plan_unhealthy(&plan, node, why, loop_now_ns());
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
		.options_fd = node_options[index],
		.channel_fd = -1,
		.kept = true,
		.kill = kill_node,
		.exited = node_exited,
		.started = service ? service_started : NULL,
		.told = service ? NULL : refresh_run_told,
		.logged = logpipe_covers(index),
	};
	char reason[NODE_REASON_MAX];
	int ready_fd;
	int r = cgroup_node_open(index, &spec.cgroup_fd, reason, sizeof(reason));

	if (r < 0) {
		plan_exited(&plan, index, &(struct plan_exit){.status = STAGE_NEVER, .reason = reason}, loop_now_ns());
		return;
	}
	spec.cgroup = cgroup_node_name(index);
	ready_fd = node->ready == READY_FD ? ready_pipe(index) : 0;
	spec.payload_fd = ready_fd;
	r = ready_fd < 0 ? ready_fd : child_start(&spec, &node_child[index]);
	if (ready_fd > 0)
		close(ready_fd);
	if (spec.cgroup_fd >= 0)
		close(spec.cgroup_fd);
	if (r < 0) {
		cgroup_node_end(index, false);
		plan_not_started(&plan, index, strerror(-r), loop_now_ns());
	}
}

static void signal_node(size_t node, int sig)
{
	if (sig == SIGKILL && !node_child[node])
		cgroup_node_kill(node);	/* its process has ended, others of its cgroup have not */
	else if (node_child[node] &&
		 (sig == SIGKILL || !config->nodes[node].stop_all || !cgroup_node_signal(node, sig)))
		child_signal(node_child[node], sig);
}

static enum event_level state_level(const struct plan_node *node, enum node_state state)
{
	switch (state) {
	case NODE_RETRYING:
		return EVENT_WARNING;
	case NODE_FAILED:
	case NODE_BLOCKED:
		return node->config->required ? EVENT_ERROR : EVENT_WARNING;
	default:
		return EVENT_INFO;
	}
}

static void say_node(const struct plan_action *action)
{
	const struct plan_node *node = &plan.nodes[action->node];
	char attempt[32], next[32], text[NODE_REASON_MAX + 8];
	const char *fields[4] = {NULL};
	size_t n = 0;

	if (action->state == NODE_RUNNING && node->attempts > 1) {
		snprintf(attempt, sizeof(attempt), "attempt=%u", node->attempts);
		fields[n++] = attempt;
	}
	if (action->state == NODE_RETRYING && action->state == node->state) {
		snprintf(next, sizeof(next), "next_s=%.1f", (double)(node->next_ns - loop_now_ns()) / 1e9);
		fields[n++] = next;
	}
	if (action->state == node->state && node->reason[0]) {
		snprintf(text, sizeof(text), "text=%s", node->reason);
		fields[n++] = text;
	}
	event_state(state_level(node, action->state), node->config->name, node_state_name(action->state), fields[0],
		    fields[1], fields[2], NULL);
}

static void say_boot(void)
{
	char text[NODE_REASON_MAX + 8], elapsed[48];

	if (plan.state == BOOT_HELD) {
		snprintf(text, sizeof(text), "text=%s", plan.reason);
		artifact_give_text("held-reason", plan.reason);
		event_state(EVENT_ERROR, "gantry", "held", text, NULL);
	} else if (plan.state == BOOT_BOOTED) {
		snprintf(elapsed, sizeof(elapsed), "elapsed_s=%.3f", (double)(loop_now_ns() - started_ns) / 1e9);
		event_state(EVENT_NOTICE, "gantry", "booted", elapsed, NULL);
	} else if (plan.state == BOOT_BOOTING) {
		event_state(EVENT_NOTICE, "gantry", "booting", NULL);
	}
}

/* Neither running nor to be started again by itself. */
static bool rests(enum node_state state)
{
	return state == NODE_DONE || state == NODE_SKIPPED || state == NODE_STOPPED || state == NODE_FAILED ||
	       state == NODE_BLOCKED;
}

static void perform(const struct plan_action *action)
{
	switch (action->kind) {
	case PLAN_START:
		starts_add(&starts, action->node);
		break;
	case PLAN_SIGNAL:
		if (starts_remove(&starts, action->node))
			start_node(action->node);
		signal_node(action->node, action->signal);
		if (action->signal == SIGKILL)
			shutdown_not_clean(config->nodes[action->node].name, "killed");
		break;
	case PLAN_CHANGED:
		if (rests(plan.nodes[action->node].state))
			cgroup_node_rest(action->node);
		say_node(action);
		tidy_changed(action->node, action->state);
		if (action->state == NODE_READY)
			probe_begin(action->node, PROBE_HEALTH);
		if (action->state == NODE_READY)
			refresh_run_ready(action->node);
		break;
	case PLAN_BOOT:
		say_boot();
		break;
	case PLAN_HELD_OVER:
		shutdown_begin(config->held_action == HELD_REBOOT ? SHUTDOWN_REBOOT : SHUTDOWN_POWEROFF,
			       "the held boot's action", plan.reason);
		break;
	case PLAN_DOWN:
		if (!nodes_down) {
			nodes_down = true;
			forkserver_end();	/* no process of ours is to be among those that are left */
			shutdown_nodes_down();
		}
		break;
	}
}

static bool are_met(const uint16_t *needs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		enum node_state state = plan.nodes[needs[i]].state;

		if (state != NODE_DONE && state != NODE_SKIPPED && state != NODE_READY)
			return false;
	}
	return true;
}

/* The plan moves on as far as it can. An action may make more of them. */
static void follow_plan(void)
{
	struct plan_action action;

	do {
		plan_step(&plan, loop_now_ns());
		if (!plan_next(&plan, &action))
			break;
		do
			perform(&action);
		while (plan_next(&plan, &action));
	} while (!nodes_down);
}

/* After each turn of the loop. */
static void turn(void)
{
	int64_t due;
	size_t node;

	follow_plan();
	for (int i = 0; i < STARTS_IN_A_TURN && starts_next(&starts, &node); i++)
		start_node(node);
	follow_plan();		/* one that could not be started is news, too */
	child_answer_takes();
	artifact_expire();
	if (!shutdown_begun() && are_met(config->log_needs, config->n_log_needs))
		daemon_want(DAEMON_LOGGER);
	if (are_met(config->logs_needs, config->n_logs_needs))
		logpipe_open_directory();
	if (!shutdown_begun() && are_met(config->api_needs, config->n_api_needs))
		act_load();
	refresh_run_turn();
	shutdown_step();
	due = starts.count ? loop_now_ns() : plan_due_ns(&plan);
	if (due)
		loop_arm(&plan_timer, due);
	else
		loop_disarm(&plan_timer);
}

/* ---- what others ask (boot.h) --------------------------------------------------------------------------------- */

/* Procfs answers from memory: this never waits. 0: there is no descriptor for it now. */
static uint64_t memory_bytes(void)
{
	unsigned long long pages = 0;
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) <= 0 || sscanf(text, "%*s %llu", &pages) != 1)
		pages = 0;
	close(fd);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void boot_status(struct control_boot *ret)
{
	struct utsname system = {0};

	memset(ret, 0, sizeof(*ret));
	ret->now_ns = loop_now_ns();
	ret->started_ns = started_ns;
	ret->ended_ns = plan.ended_ns;
	ret->state = (uint8_t)plan.state;
	ret->events = event_last();
	ret->dropped = event_drops();
	event_levels(ret->events_by_level);
	ret->children = (uint32_t)child_count();
	ret->memory_bytes = memory_bytes();
	ret->turns = *loop_turns();
	uname(&system);
	snprintf(ret->kernel, sizeof(ret->kernel), "%.*s", (int)sizeof(ret->kernel) - 1, system.release);
	memcpy(ret->certificate_sha256, certificate_sha256, sizeof(ret->certificate_sha256));
	memcpy(ret->last_shutdown, last_shutdown, last_shutdown_size);
	ret->last_shutdown_size = (uint16_t)last_shutdown_size;
	if (plan.state == BOOT_HELD)
		snprintf(ret->reason, sizeof(ret->reason), "%s", plan.reason);
	snprintf(ret->version, sizeof(ret->version), "%s", GANTRY_VERSION);
	gethostname(ret->hostname, sizeof(ret->hostname) - 1);
}

size_t boot_nodes(void)
{
	return plan.n_nodes;
}

void boot_node(size_t index, struct control_node *ret)
{
	const struct plan_node *node = &plan.nodes[index];
	const struct child *child = node_child[index];
	const char *reason = node->reason[0] || !child ? node->reason : child_last_text(child);

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

/* "NAME=VALUE" and NUL, if it is known. */
static size_t put_fact(char *at, size_t room, const char *name, uint64_t value)
{
	int n = value == CGROUP_UNKNOWN ? 0 : snprintf(at, room, "%s=%" PRIu64, name, value) + 1;

	return n > 0 && (size_t)n <= room ? (size_t)n : 0;
}

/*
 * What a service uses is read when somebody asks and a second later at the earliest, so that askers cannot keep PID 1
 * busy; a turn of the loop answers for a few nodes only (control.c). The API cannot read it: its root is empty.
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

void boot_certificate(const char *sha256)
{
	snprintf(certificate_sha256, sizeof(certificate_sha256), "%s", sha256);
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
	event_add(good && !strcmp(last_field("clean"), "true") ? EVENT_INFO : EVENT_WARNING, EVENT_MESSAGE, "gantry",
		  text, strlen(text), last_shutdown, last_shutdown_size);
}

int boot_start(const char *name)
{
	size_t node;
	int r = plan_find(&plan, name, &node);

	return r < 0 ? r : plan_start(&plan, node, loop_now_ns());
}

int boot_stop(const char *name)
{
	size_t node;
	int r = plan_find(&plan, name, &node);

	return r < 0 ? r : plan_stop(&plan, node, false, loop_now_ns());
}

int boot_restart(const char *name)
{
	size_t node;
	int r = plan_find(&plan, name, &node);

	return r < 0 ? r : plan_stop(&plan, node, true, loop_now_ns());
}

bool boot_stopping(void)
{
	return plan.state == BOOT_STOPPING;
}

void boot_shutdown(enum shutdown_kind kind, const char *by, const char *reason)
{
	shutdown_begin(kind, by, reason);
}

const char *boot_node_of_pid(int pid)
{
	const struct child *child = child_by_pid(pid);
	char name[NODE_NAME_MAX];
	size_t node;

	if (child && child_node(child) != CHILD_NO_NODE)
		return config->nodes[child_node(child)].name;
	if (!child && cgroup_of(pid, name) && plan_find(&plan, name, &node) == 0)
		return config->nodes[node].name;
	return NULL;
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

static void teardown_exited(struct child *child, const struct plan_exit *how)
{
	(void)child;
	teardown = NULL;
	if (how->status != 0)
		event_say(EVENT_ERROR, "teardown", "ended badly (%s %d)%s%s", how->status < 0 ? "signal" : "status",
			  how->status < 0 ? how->signal : how->status, how->reason ? ": " : "",
			  how->reason ? how->reason : "");
}

static bool teardown_start(const char *word)
{
	static char argument[24];	/* read in the child, before this comes again */
	const char *const argv[] = {"teardown", argument, NULL};
	struct child_spec spec = {.source = "teardown", .argv = argv, .node = CHILD_NO_NODE, .options_fd = -1,
				  .channel_fd = -1, .cgroup_fd = -1, .exited = teardown_exited};

	snprintf(argument, sizeof(argument), "%s", word);
	return child_start(&spec, &teardown) == 0;
}

static bool teardown_running(void)
{
	return teardown != NULL;
}

static void teardown_kill(void)
{
	if (teardown)
		child_signal(teardown, SIGKILL);
}

static bool api_stop(int sig)
{
	bool http = daemon_stop(DAEMON_API, sig), tls = daemon_stop(DAEMON_API_TLS, sig);

	/* No service runs any more, so their log ends here, too; by itself, once all is written. */
	logpipe_finish();
	return daemon_stop(DAEMON_SERVICE_LOG, 0) || http || tls;
}

static pid_t logger_pid(void)
{
	return daemon_pid(DAEMON_LOGGER);
}

static bool logger_stop(int sig)
{
	return daemon_stop(DAEMON_LOGGER, sig);
}

static const struct shutdown_hooks shutdown_hooks = {
	.api_stop = api_stop,
	.logger_pid = logger_pid,
	.logger_stop = logger_stop,
	.teardown_start = teardown_start,
	.teardown_running = teardown_running,
	.teardown_kill = teardown_kill,
};

/* ---- requests to stop ------------------------------------------------------------------------------------------ */

static void power_button(void)
{
	shutdown_begin(SHUTDOWN_POWEROFF, "power button", "");
}

/* sender 0: the kernel, and of that only ctrl-alt-del is SIGINT. */
static void stop_signal(int sig, int sender)
{
	const char *name = sig == SIGINT ? "SIGINT" : sig == SIGPWR ? "SIGPWR" : "SIGTERM";
	const char *node = sender > 0 ? boot_node_of_pid(sender) : NULL;
	char by[96];

	if (sender <= 0)
		snprintf(by, sizeof(by), "%s", sig == SIGINT ? "ctrl-alt-del" : name);
	else if (node)
		snprintf(by, sizeof(by), "%s from %s", name, node);
	else
		snprintf(by, sizeof(by), "%s from process %d", name, sender);
	shutdown_begin(sig == SIGINT ? SHUTDOWN_REBOOT : SHUTDOWN_POWEROFF, by, "");
}

/* ---- the beginning -------------------------------------------------------------------------------------------- */

/* Descriptors 0 to 5 are taken, so that none that we open lands where a child's must be. */
static void reserve_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd < 6);
	if (fd < 0)
		do
			fd = open("/", O_PATH | O_CLOEXEC);
		while (fd >= 0 && fd < 6);
	if (fd > 5)
		close(fd);
}

/* A machine whose configuration is bad runs an empty plan: it holds, says why, and does nothing else. */
static struct config *empty_config(void)
{
	static struct config empty = {.shutdown_timeout_ms = 30000, .event_ring = 2000, .event_rate_per_s = 1000,
				      .event_burst = 10000, .hostname = (char *)"gantry"};

	return &empty;
}

static void prepare(const char *name, int r)
{
	if (r < 0)
		event_say(EVENT_ERROR, "gantry", "%s: %s", name, strerror(-r));
}

static const char *config_path(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], "--config"))
			return argv[i + 1];
	return CONFIG_PATH;
}

static uid_t api_uid(void)
{
	const struct passwd *user = getpwnam("gantry-api");

	return user ? user->pw_uid : (uid_t)-1;
}

static void make_options(void)
{
	for (size_t i = 0; i < config->n_nodes; i++)
		node_options[i] = config->nodes[i].kind == NODE_SERVICE && !config->nodes[i].prepare_ms ? -1 :
				  artifact_memfd("options", config->nodes[i].json, config->nodes[i].json_size);
}

static void begin_plan(const char *config_error)
{
	/* API, logger, teardown, and room for an exit not yet seen */
	const size_t extra = 8 + ACTS_MAX + REFRESH_CHILDREN + TIDY_CHILDREN;

	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint64_t)started_ns;	/* what it is for needs no secret */
	prepare("plan", plan_init(&plan, config));
	plan_seed(&plan, seed);
	table_stays_ours(config->nodes, config->n_nodes * sizeof(*config->nodes));
	table_stays_ours(plan.nodes, plan.n_nodes * sizeof(*plan.nodes));
	table_stays_ours(plan.queue, plan.capacity * sizeof(*plan.queue));
	node_child = calloc(config->n_nodes + 1, sizeof(*node_child));
	node_options = calloc(config->n_nodes + 1, sizeof(*node_options));
	node_left = calloc(config->n_nodes + 1, sizeof(*node_left));
	if (!node_child || !node_options || !node_left || starts_init(&starts, config->n_nodes) < 0)
		abort();	/* no memory before the first process: nothing can be done here */
	make_options();
	prepare("artifacts", artifact_init(&plan));
	prepare("facts", facts_init(config->n_nodes));
	prepare("children", child_init(config->n_nodes + when_ready_children(config) + probe_count(config) + extra));
	prepare("cgroups", cgroup_node_init(config, node_gone));
	prepare("probes", probe_init(&plan, probe_answered));
	prepare("readiness", ready_init(&plan, when_ready_begin));
	prepare("when_ready", when_ready_init(config, &plan));
	control_init(CONTROL_PATH, api_uid());
	sender_limit(config->event_rate_per_s, config->event_burst);
	eventsock_init(EVENT_SOCKET);
	if (config->fifo)
		fifo_init(config->fifo);
	button_init(power_button);
	watchdog_init(config->watchdog_device, config->watchdog_timeout_ms);
	shutdown_init(&plan, &shutdown_hooks);
	refresh_run_init(config, &plan, node_options, node_child);
	tidy_init(config, &plan, node_options);
	act_init(config);
	prepare("logs", logpipe_init(config));
	daemon_init(config->api_json, config->log_json, logpipe_active());
	plan_timer.fire = nothing;
	if (config_error) {
		snprintf(plan.reason, sizeof(plan.reason), "configuration: %.*s", NODE_REASON_MAX - 20, config_error);
		plan.state = BOOT_HELD;
		plan.broken = true;
		plan.ended_ns = loop_now_ns();
		say_boot();
	}
	daemon_want(DAEMON_SERVICE_LOG);
	daemon_want(DAEMON_API);
	daemon_want(DAEMON_API_TLS);
}

_Noreturn void init_main(int argc, char **argv)
{
	char error[512];
	bool good;

	started_ns = loop_now_ns();
	image_forget_foreign();
	reserve_descriptors();
	birth_init();
	forkserver_begin();
	good = config_load(config_path(argc, argv), &config, error, sizeof(error)) == 0;
	if (!good)
		config = empty_config();
	event_init(config->event_ring);
	prepare("loop", loop_init());
	prepare("signals", signals_init(stop_signal));
	early_mounts();
	console_init();
	event_say(EVENT_NOTICE, "gantry", "gantry %s", GANTRY_VERSION);
	early_hostname(config->hostname);
	early_sysctls(config->sysctls, config->n_sysctls);
	early_modules(MODULES_PATH);
	begin_plan(good ? NULL : error);
	image_forget_beginning();
	turn();
	loop_run(turn);
	/* The loop is never stopped; should it ever be, PID 1 still must not exit. */
	for (;;)
		pause();
}
