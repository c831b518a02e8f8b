/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1: sets the machine up far enough to run the loop, then performs the plan's actions (nodes.c: those for
 * processes) and gives it its inputs. Before the loop an error is an event and a held boot; from the loop on no error
 * is fatal: an operation that fails is tried again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <gantry/role.h>

#include "act.h"
#include "button.h"
#include "clock.h"
#include "daemon.h"
#include "early.h"
#include "extra.h"
#include "harden.h"
#include "init/config/load.h"
#include "init/control/boot.h"
#include "init/control/control.h"
#include "init/event/console.h"
#include "init/event/event.h"
#include "init/event/eventsock.h"
#include "init/event/sender.h"
#include "init/launch/launch.h"
#include "init/lib/config.h"
#include "init/lib/loop.h"
#include "init/node/artifact.h"
#include "init/node/cgroup-node.h"
#include "init/node/facts.h"
#include "init/node/nodes.h"
#include "init/node/probe.h"
#include "init/node/ready.h"
#include "init/node/refresh-run.h"
#include "init/node/task.h"
#include "init/node/tidy.h"
#include "init/node/tpm-owner.h"
#include "init/node/watch.h"
#include "init/node/when-ready.h"
#include "init/node/whose.h"
#include "init/plan/plan.h"
#include "init/process/birth.h"
#include "init/process/child.h"
#include "init/process/fifo.h"
#include "init/process/forkserver.h"
#include "init/process/image.h"
#include "init/process/logpipe.h"
#include "init/process/relay-rights.h"
#include "init/process/relay.h"
#include "links.h"
#include "readonly.h"
#include "requests.h"
#include "shutdown.h"
#include "signals.h"
#include "volume.h"
#include "watchdog.h"

#define CONFIG_PATH  "/etc/gantry/boot.json"
#define MODULES_PATH "/etc/gantry/modules"

static struct config *config;
static struct plan plan;
static struct loop_timer plan_timer;
static int64_t started_ns;
static bool nodes_down;

static void nothing(struct loop_timer *timer)
{
	(void)timer;	/* only wakes the loop: turn() steps the plan */
}

/* ---- performing the plan's actions ---------------------------------------------------------------------------- */

static void probe_answered(size_t node, enum probe_kind kind, const char *why)
{
	if (kind == PROBE_READY)
		ready_probed(node);
	else
		plan_unhealthy(&plan, node, why, loop_now_ns());
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
	struct fields fields = {0};

	if (action->state == NODE_RUNNING && node->attempts > 1)
		fields_add(&fields, "attempt", "%u", node->attempts);
	if (action->state == NODE_RETRYING && action->state == node->state)
		fields_add(&fields, "next_s", "%.1f", (double)(node->next_ns - loop_now_ns()) / 1e9);
	if (action->state == node->state && node->reason[0])
		fields_add(&fields, "text", "%s", node->reason);
	event_state(state_level(node, action->state), node->config->name, node_state_name(action->state), &fields);
}

static void say_boot(void)
{
	struct fields fields = {0};

	if (plan.state == BOOT_HELD) {
		fields_add(&fields, "text", "%s", plan.reason);
		artifact_give_text("held-reason", plan.reason);
		event_state(EVENT_ERROR, "gantry", "held", &fields);
	} else if (plan.state == BOOT_BOOTED) {
		fields_add(&fields, "elapsed_s", "%.3f", (double)(loop_now_ns() - started_ns) / 1e9);
		event_state(EVENT_NOTICE, "gantry", "booted", &fields);
	} else if (plan.state == BOOT_BOOTING) {
		event_state(EVENT_NOTICE, "gantry", "booting", NULL);
	}
}

/* Not running, and not to be restarted by the plan itself. */
static bool rests(enum node_state state)
{
	return state == NODE_DONE || state == NODE_SKIPPED || state == NODE_STOPPED || state == NODE_FAILED ||
	       state == NODE_BLOCKED;
}

static void perform(const struct plan_action *action)
{
	switch (action->kind) {
	case PLAN_START:
		nodes_start(action->node);
		break;
	case PLAN_SIGNAL:
		nodes_signal(action->node, action->signal);
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
		if (action->state == NODE_DONE)
			volume_done(action->node);
		break;
	case PLAN_BOOT:
		say_boot();
		break;
	case PLAN_HELD_OVER:
		shutdown_begin(config->held_action == HELD_REBOOT ? SHUTDOWN_REBOOT : SHUTDOWN_POWEROFF,
			       "held.action", plan.reason);
		break;
	case PLAN_DOWN:
		if (!nodes_down) {
			nodes_down = true;
			forkserver_end();	/* it must not be among the processes that remain */
			shutdown_nodes_down();
		}
		break;
	}
}

/* Steps the plan as far as possible: performing an action may cause further ones. */
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

	follow_plan();
	nodes_turn();
	follow_plan();		/* for nodes that could not be started */
	child_answer_takes();
	artifact_expire();
	tpm_owner_turn();
	watch_turn();
	daemon_turn(shutdown_begun());
	refresh_run_turn();
	shutdown_step();
	due = nodes_waiting() ? loop_now_ns() : plan_due_ns(&plan);
	if (due)
		loop_arm(&plan_timer, due);
	else
		loop_disarm(&plan_timer);
}

/* ---- requests to stop ------------------------------------------------------------------------------------------ */

static void power_button(void)
{
	shutdown_begin(SHUTDOWN_POWEROFF, "power button", "");
}

/* sender 0: the kernel, whose SIGINT means ctrl-alt-del. */
static void stop_signal(int sig, int sender)
{
	const char *name = sig == SIGINT ? "SIGINT" : sig == SIGPWR ? "SIGPWR" : "SIGTERM";
	const char *node = sender > 0 ? whose_pid(sender) : NULL;
	char by[96];

	if (sender <= 0)
		snprintf(by, sizeof(by), "%s", sig == SIGINT ? "ctrl-alt-del" : name);
	else if (node)
		snprintf(by, sizeof(by), "%s from %s", name, node);
	else
		snprintf(by, sizeof(by), "%s from process %d", name, sender);
	shutdown_begin(sig == SIGINT ? SHUTDOWN_REBOOT : SHUTDOWN_POWEROFF, by, "");
}

/* ---- start ----------------------------------------------------------------------------------------------------- */

/* Occupies descriptors 0 to 5, which children get (birth.h), so that PID 1 opens none of these numbers itself. */
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

/* With an invalid configuration or foreign files, PID 1 runs an empty plan: the boot is held, with the reason. */
static struct config *empty_config(void)
{
	static struct config empty = {.shutdown_timeout_ms = 30000, .event_ring = 2000, .event_rate_per_s = 1000,
				      .event_burst = 10000, .hostname = (char *)"gantry"};

	return &empty;
}

static void prepare(const char *name, int r)
{
	if (r < 0)
		event_say(EVENT_ERROR, "gantry", "cannot set up %s: %s", name, strerror(-r));
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

static void progressed(size_t node, const struct report_progress *progress, const char *text, size_t size)
{
	facts_take_progress(node, progress, text, size);
	plan_progress(&plan, node, progress->done, loop_now_ns());
}

static const struct child_nodes child_reports = {
	.give = artifact_give, .take = artifact_take, .facts = facts_take, .progress = progressed,
};

/* held: why nothing may run; NULL: it may. */
static void begin_plan(const char *held)
{
	/* daemons, teardown, and rows for exits not yet reaped */
	const size_t extra = 9 + ACTS_MAX + REFRESH_CHILDREN + TIDY_CHILDREN;

	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint64_t)started_ns;	/* for jitter, which needs no secret */
	prepare("plan", plan_init(&plan, config));
	plan_seed(&plan, seed);
	if (nodes_init(config, &plan) < 0)
		abort();	/* no memory before the first process: nothing can be done here */
	boot_init(config, &plan, started_ns);
	whose_init(&plan);
	prepare("artifacts", artifact_init(&plan));
	prepare("facts", facts_init(config->n_nodes));
	prepare("children", child_init(config->n_nodes + when_ready_children(config) + probe_count(config) +
				       watch_count(config) + extra, &child_reports));
	prepare("cgroups", cgroup_node_init(config, ACTS_MAX, nodes_ended));
	prepare("probes", probe_init(&plan, probe_answered));
	prepare("watches", watch_init(&plan, nodes_options()));
	prepare("readiness", ready_init(&plan, when_ready_begin));
	prepare("when_ready", when_ready_init(config, &plan));
	control_init(CONTROL_PATH, api_uid(), &requests);
	sender_limit(config->event_rate_per_s, config->event_burst);
	eventsock_init(EVENT_SOCKET, whose_pid);
	prepare("the relay of output", relay_watch());
	if (config->fifo)
		fifo_init(config->fifo);
	button_init(power_button);
	prepare("watch of the clock", clock_watch(act_clock_was_set));
	prepare("names in /dev", links_init());
	watchdog_init(config->watchdog_device, config->watchdog_timeout_ms);
	shutdown_init(&plan);
	refresh_run_init(config, &plan, nodes_options(), nodes_children());
	tidy_init(config, &plan, nodes_options());
	act_init(config);
	prepare("watch of volumes", volume_init(config, &plan));
	prepare("logs", logpipe_init(config));
	prepare("the TPM's owner", tpm_owner_init(&plan));
	daemon_init(config, &plan, act_load);
	daemon_turn(false);		/* starts the API before the nodes */
	plan_timer.fire = nothing;
	if (held) {
		snprintf(plan.reason, sizeof(plan.reason), "%.*s", NODE_REASON_MAX - 1, held);
		plan.state = BOOT_HELD;
		plan.broken = true;
		plan.ended_ns = loop_now_ns();
		say_boot();
	}
}

_Noreturn void init_main(int argc, char **argv)
{
	char error[512], held[sizeof(error) + 32] = "";
	const char *image_name, *image_version;
	bool own_machine;

	started_ns = loop_now_ns();
	image_forget_foreign();
	reserve_descriptors();
	birth_init(launch_service);
	forkserver_begin(launch_prepare);
	relay_begin(relay_serve);
	if (config_load(config_path(argc, argv), &config, error, sizeof(error)) < 0)
		snprintf(held, sizeof(held), "configuration: %s", error);
	else if (extra_check(config, error, sizeof(error)) < 0)
		snprintf(held, sizeof(held), "%s", error);
	if (held[0])
		config = empty_config();
	prepare("event ring", event_init(config->event_ring));
	prepare("loop", loop_init());
	prepare("signals", signals_init(stop_signal));
	early_mounts();
	console_init();
	own_machine = harden_own_machine();
	clock_begin(own_machine && !hardening_kept(config, HARDENING_CLOCK));
	early_image(config_path(argc, argv), &image_name, &image_version);
	if (image_name[0])
		event_say(EVENT_NOTICE, "gantry", "gantry %s, image %s %s", GANTRY_VERSION, image_name, image_version);
	else
		event_say(EVENT_NOTICE, "gantry", "gantry %s", GANTRY_VERSION);
	boot_image(image_name, image_version);
	early_loopback();
	early_landlock();
	early_hostname(config->hostname);
	if (own_machine)
		harden("", config, HARDENING_FIRST);
	early_sysctls(config->sysctls, config->n_sysctls);
	early_modules(MODULES_PATH);
	if (own_machine)
		harden("", config, HARDENING_LAST);
	if (readonly_root(config, own_machine, error, sizeof(error)) < 0) {
		event_say(EVENT_ERROR, "gantry", "%s", error);
		if (!held[0])
			snprintf(held, sizeof(held), "%s", error);
		config = empty_config();
	}
	begin_plan(held[0] ? held : NULL);
	turn();
	loop_run(turn);
	/* Never reached while the loop works; PID 1 must not exit in any case. */
	for (;;)
		pause();
}
