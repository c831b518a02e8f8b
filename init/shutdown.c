/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements shutdown.h: a row of phases. Each is entered once, asks for something, and is left when that is
 * there or its time is over, whichever is first.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "console.h"
#include "control.h"
#include "event.h"
#include "loop.h"
#include "shutdown.h"

#define SECOND 1000000000LL

/* What the steps after the nodes need at most; the nodes get the rest of the whole. */
#define API_NS      (1 * SECOND)
#define LOG_NS      (2 * SECOND)
#define KILL_NS     (1 * SECOND)
#define TEARDOWN_NS (4 * SECOND)
#define CONSOLE_NS  (SECOND / 2)
#define TAIL_NS     (API_NS + LOG_NS + KILL_NS + TEARDOWN_NS + CONSOLE_NS)

enum phase {
	PHASE_NONE,
	PHASE_NODES,
	PHASE_API,
	PHASE_LOG,
	PHASE_KILL,
	PHASE_TEARDOWN,
	PHASE_END,
	PHASE_MAX,
};

static const char *const kind_names[] = {"poweroff", "reboot", "halt"};
static const int kind_commands[] = {RB_POWER_OFF, RB_AUTOBOOT, RB_HALT_SYSTEM};

static struct plan *plan;
static const struct shutdown_hooks *hooks;
static enum phase phase;
static enum shutdown_kind kind;
static struct loop_timer phase_timer, total_timer;
static bool nodes_down;

_Noreturn static void end(void)
{
	console_flush(loop_now_ns() + CONSOLE_NS);
	for (;;) {
		reboot(kind_commands[kind]);
		/* Not allowed, or the kernel said no: there is nothing else that PID 1 may do but try again. */
		event_say(EVENT_ERROR, "gantry", "reboot(2) failed: %s", strerror(errno));
		console_flush(loop_now_ns() + CONSOLE_NS);
		sleep(1);
	}
}

/*
 * Every orphan becomes PID 1's child, so when it has none, no process is left. (kill(-1, 0) would count the kernel's
 * threads.)
 */
static bool anyone_left(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

/* Whether the phase has what it waits for. */
static bool complete(void)
{
	switch (phase) {
	case PHASE_NODES:
		return nodes_down;
	case PHASE_API:
		return !hooks->api_stop(0);
	case PHASE_LOG:
		return !hooks->logger_running();
	case PHASE_KILL:
		return !anyone_left();
	case PHASE_TEARDOWN:
		return !hooks->teardown_running();
	default:
		return true;
	}
}

static void begin_phase(void)
{
	switch (phase) {
	case PHASE_API:
		hooks->api_stop(SIGTERM);
		loop_arm(&phase_timer, loop_now_ns() + API_NS);
		break;
	case PHASE_LOG:
		event_say(EVENT_INFO, "gantry", "persistent log ends here");
		control_close_subscribers();
		loop_arm(&phase_timer, loop_now_ns() + LOG_NS);
		break;
	case PHASE_KILL:
		kill(-1, SIGKILL);
		loop_arm(&phase_timer, loop_now_ns() + KILL_NS);
		break;
	case PHASE_TEARDOWN:
		if (!hooks->teardown_start())
			event_say(EVENT_ERROR, "gantry", "cannot start teardown: disks are not closed in order");
		loop_arm(&phase_timer, loop_now_ns() + TEARDOWN_NS);
		break;
	case PHASE_END:
		event_state(EVENT_NOTICE, "gantry", kind_names[kind], NULL);
		end();
	default:
		break;
	}
}

static void enter(enum phase next)
{
	phase = next;
	loop_disarm(&phase_timer);
	begin_phase();
}

void shutdown_step(void)
{
	while (phase != PHASE_NONE && phase != PHASE_END && complete())
		enter(phase + 1);
}

static void phase_over(struct loop_timer *timer)
{
	(void)timer;
	switch (phase) {
	case PHASE_NODES:
		/* Every process of the plan gets SIGKILL; one that not even this ends is stuck in the kernel. */
		if (!plan->hurry) {
			event_say(EVENT_WARNING, "gantry", "shutdown: time for services is over, killing what is left");
			plan_hurry(plan, loop_now_ns());
			loop_arm(&phase_timer, loop_now_ns() + KILL_NS);
			return;
		}
		event_say(EVENT_ERROR, "gantry", "shutdown: a process does not end, going on without it");
		break;
	case PHASE_API:
		hooks->api_stop(SIGKILL);
		break;
	case PHASE_LOG:
		event_say(EVENT_WARNING, "gantry", "shutdown: the persistent log did not end in time");
		hooks->logger_kill();
		break;
	case PHASE_KILL:
		event_say(EVENT_ERROR, "gantry", "shutdown: a process does not end, going on without it");
		break;
	case PHASE_TEARDOWN:
		event_say(EVENT_ERROR, "gantry", "shutdown: closing the disks took too long");
		hooks->teardown_kill();
		break;
	default:
		break;
	}
	enter(phase + 1);
	shutdown_step();
}

static void total_over(struct loop_timer *timer)
{
	(void)timer;
	event_say(EVENT_ERROR, "gantry", "shutdown: its whole time is over");
	event_state(EVENT_NOTICE, "gantry", kind_names[kind], NULL);
	end();
}

void shutdown_nodes_down(void)
{
	nodes_down = true;
	shutdown_step();
}

bool shutdown_begun(void)
{
	return phase != PHASE_NONE;
}

void shutdown_begin(enum shutdown_kind how, const char *by, const char *reason)
{
	int64_t now = loop_now_ns();
	int64_t whole = plan->config->shutdown_timeout_ms * 1000000LL;
	char by_field[96], kind_field[32];

	if (shutdown_begun()) {
		event_say(EVENT_NOTICE, "gantry", "shutdown hurried by %s", by);
		if (phase == PHASE_NODES)
			plan_hurry(plan, now);
		return;
	}
	kind = how;
	snprintf(by_field, sizeof(by_field), "by=%s", by);
	snprintf(kind_field, sizeof(kind_field), "for=%s", kind_names[kind]);
	if (reason && reason[0])
		event_say(EVENT_NOTICE, "gantry", "%s requested by %s: %s", kind_names[kind], by, reason);
	event_state(EVENT_NOTICE, "gantry", "stopping", kind_field, by_field, NULL);
	phase = PHASE_NODES;
	loop_arm(&total_timer, now + whole);
	loop_arm(&phase_timer, now + (whole > TAIL_NS + KILL_NS ? whole - TAIL_NS - KILL_NS : whole / 4));
	plan_shutdown(plan, now);
}

void shutdown_init(struct plan *with, const struct shutdown_hooks *use)
{
	plan = with;
	hooks = use;
	phase_timer.fire = phase_over;
	total_timer.fire = total_over;
}
