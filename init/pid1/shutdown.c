/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements shutdown.h: each phase is entered once and left when phases.h decides so. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "harden.h"
#include "init/control/control.h"
#include "init/event/console.h"
#include "init/event/event.h"
#include "init/lib/loop.h"
#include "init/node/task.h"
#include "init/plan/phases.h"
#include "init/process/logpipe.h"
#include "init/process/processes.h"
#include "init/process/relay.h"
#include "shutdown.h"
#include "watchdog.h"

#define SECOND     1000000000LL
#define HURRY_NS   (5 * SECOND)		/* remaining grace after a second request */
#define CONSOLE_NS (SECOND / 2)
#define LOOK_NS    (SECOND / 50)	/* PID 1 gets no notification of the exit of others' children */
#define STUCK_S    10			/* time for reboot(2) in the kernel's drivers */

static const char *const kind_names[] = {"poweroff", "reboot", "halt"};
static const int kind_commands[] = {RB_POWER_OFF, RB_AUTOBOOT, RB_HALT_SYSTEM};

static struct plan *plan;
static struct phases phases;
static enum shutdown_kind kind;
static struct loop_timer timer, look_timer;
static bool nodes_down;
static unsigned requests;
static char requested_by[64], requested_why[128];
static char not_clean[160];
static int64_t looked_ns;
static size_t others;		/* number of remaining processes */

/* ---- the record ----------------------------------------------------------------------------------------------- */

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *fmt, ...)
{
	size_t n = strlen(not_clean);
	va_list args;

	if (n + 8 >= sizeof(not_clean))
		return;
	n += (size_t)snprintf(not_clean + n, sizeof(not_clean) - n, "%s", n ? ", " : "");
	va_start(args, fmt);
	vsnprintf(not_clean + n, sizeof(not_clean) - n, fmt, args);
	va_end(args);
}

void shutdown_not_clean(const char *name, const char *why)
{
	if (shutdown_begun())
		note("%s %s", name, why);
}

static double took_s(enum phase from, enum phase to)
{
	int64_t sum = 0;

	for (enum phase i = from; i <= to; i++)
		sum += phases.took_ns[i];
	return (double)sum / 1e9;
}

/* The last event in the persistent log, read by the next boot's logger (init/log/lastboot.h). */
static void write_record(void)
{
	struct fields fields = {0};

	fields_add(&fields, "for", "%s", kind_names[kind]);
	fields_add(&fields, "clean", "%s", not_clean[0] ? "false" : "true");
	fields_add(&fields, "took_s", "%.3f", (double)(loop_now_ns() - phases.first_ns) / 1e9);
	fields_add(&fields, "services_s", "%.3f", took_s(PHASE_NODES, PHASE_NODES));
	fields_add(&fields, "api_s", "%.3f", took_s(PHASE_API, PHASE_API));
	fields_add(&fields, "processes_s", "%.3f", took_s(PHASE_TERM, PHASE_KILL));
	fields_add(&fields, "by", "%s", requested_by);
	if (requested_why[0])
		fields_add(&fields, "reason", "%s", requested_why);
	if (not_clean[0])
		fields_add(&fields, "not_clean", "%s", not_clean);
	event_state(not_clean[0] ? EVENT_WARNING : EVENT_NOTICE, "gantry", "down", &fields);
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

/*
 * If a driver hangs in reboot(2), this process makes the kernel reset the machine without its drivers. Only if Gantry
 * is PID 1 of the machine: /proc/sysrq-trigger is not namespaced.
 */
static void start_last_resort(void)
{
	int fd;

	if (!harden_own_machine() || fork() != 0)
		return;
	sleep(STUCK_S);
	fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	_exit(fd >= 0 && write(fd, "b", 1) == 1 ? 0 : 1);
}

_Noreturn static void end(void)
{
	console_flush(loop_now_ns() + CONSOLE_NS);
	watchdog_end(kind != SHUTDOWN_REBOOT);
	if (kind != SHUTDOWN_HALT)
		start_last_resort();
	for (;;) {
		reboot(kind_commands[kind]);
		/* PID 1 must not exit, so it can only try again. */
		event_say(EVENT_ERROR, "gantry", "reboot(2) failed: %s", strerror(errno));
		console_flush(loop_now_ns() + CONSOLE_NS);
		sleep(1);
	}
}

static void say_end(void)
{
	struct fields fields = {0};

	fields_add(&fields, "took_s", "%.3f", (double)(loop_now_ns() - phases.first_ns) / 1e9);
	event_state(EVENT_NOTICE, "gantry", kind_names[kind], &fields);
}

/* ---- the phases ----------------------------------------------------------------------------------------------- */

/*
 * Every orphan becomes PID 1's child, so if PID 1 has no child, no process remains. (kill(-1, 0) would count kernel
 * threads, too.)
 */
static bool children_left(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

/* Whether processes besides the logger remain, as of LOOK_NS ago at most; each look sends them sig (0: none). */
static bool others_left(int sig)
{
	int64_t now = loop_now_ns();
	char name[64];

	if (!looked_ns || now - looked_ns >= LOOK_NS) {
		others = processes_signal(sig, daemon_pid(PHASE_LOG), name, sizeof(name));
		looked_ns = now;
	}
	loop_arm(&look_timer, looked_ns + LOOK_NS);
	return others > 0;
}

static void teardown_ended(struct task *task, const struct process_exit *how)
{
	(void)task;
	if (how->status != 0)
		event_say(EVENT_ERROR, "teardown", "failed (%s %d)%s%s", how->status < 0 ? "signal" : "status",
			  how->status < 0 ? how->signal : how->status, how->reason ? ": " : "",
			  how->reason ? how->reason : "");
}

static struct task teardown = {.ended = teardown_ended};

/* Starts the role teardown with its argument: "emergency", or a number of milliseconds. */
static bool start_teardown(const char *word)
{
	const char *const argv[] = {"teardown", word, NULL};

	return task_start(&teardown, &(struct child_spec){CHILD_OF_NONE, .source = "teardown", .argv = argv}, 0) == 0;
}

/* Whether the current phase's condition is met. */
static bool complete(void)
{
	switch (phases.phase) {
	case PHASE_NODES:
		return nodes_down;
	case PHASE_API:
		return !daemon_stop(PHASE_API, 0);
	case PHASE_TERM:
		return !others_left(0);
	case PHASE_KILL:
		return !others_left(SIGKILL);
	case PHASE_LOG:
		return !daemon_stop(PHASE_LOG, 0);
	case PHASE_SWEEP:
		return !children_left();
	case PHASE_DISKS:
	case PHASE_EMERGENCY:
		return !teardown.child;
	default:
		return true;
	}
}

/* Reports a phase that ran out of its time, and ends its processes. */
static void say_overrun(enum phase phase)
{
	switch (phase) {
	case PHASE_NODES:
		note("services did not end");
		event_say(EVENT_ERROR, "gantry",
			  "shutdown: a service did not end after SIGKILL, continuing without it");
		break;
	case PHASE_API:
		daemon_stop(PHASE_API, SIGKILL);
		break;
	case PHASE_LOG:
		event_say(EVENT_WARNING, "gantry", "shutdown: the logger did not exit in time, killing it");
		daemon_stop(PHASE_LOG, SIGKILL);
		break;
	case PHASE_KILL:
		note("%zu processes did not end", others);
		event_say(EVENT_ERROR, "gantry",
			  "shutdown: %zu processes remain after SIGKILL, continuing without them", others);
		break;
	case PHASE_DISKS:
		event_say(EVENT_ERROR, "gantry", "shutdown: closing the disks timed out, killing teardown");
		task_kill(&teardown);
		break;
	default:
		break;
	}
}

static void begin_term(void)
{
	char name[64];

	others = processes_signal(SIGTERM, daemon_pid(PHASE_LOG), name, sizeof(name));
	looked_ns = loop_now_ns();
	if (others)
		event_say(EVENT_INFO, "gantry", "shutdown: SIGTERM to %zu remaining processes: %s%s", others, name,
			  others > 1 ? " and others" : "");
}

static void begin_kill(void)
{
	char name[64];

	others = processes_signal(SIGKILL, daemon_pid(PHASE_LOG), name, sizeof(name));
	looked_ns = loop_now_ns();
	if (!others)
		return;
	note("%zu processes killed (%s%s)", others, name, others > 1 ? " ..." : "");
	event_say(EVENT_WARNING, "gantry", "shutdown: SIGKILL to %zu remaining processes: %s%s", others, name,
		  others > 1 ? " and others" : "");
}

static void begin_disks(void)
{
	char milliseconds[24];

	/* The role gets less time than the phase, so that it can report unclosed devices before PID 1 kills it. */
	snprintf(milliseconds, sizeof(milliseconds), "%lld",
		 (long long)(phases.due_ns - loop_now_ns()) / 1000000 * 9 / 10);
	if (!start_teardown(milliseconds))
		event_say(EVENT_ERROR, "gantry", "cannot start teardown: disks will not be closed cleanly");
}

static void begin_phase(void)
{
	switch (phases.phase) {
	case PHASE_API:
		/* No service runs any more, so service-log can write out its lines and exit. */
		logpipe_finish();
		daemon_stop(PHASE_API, SIGTERM);
		break;
	case PHASE_TERM:
		begin_term();
		break;
	case PHASE_KILL:
		begin_kill();
		break;
	case PHASE_LOG:
		loop_disarm(&look_timer);
		write_record();
		control_close_subscribers();
		break;
	case PHASE_SWEEP:
		relay_swept();
		kill(-1, SIGKILL);
		break;
	case PHASE_DISKS:
		begin_disks();
		break;
	case PHASE_EMERGENCY:
		event_say(EVENT_ERROR, "gantry", "shutdown: timed out, emergency sync");
		task_abandon(&teardown);	/* one that was killed may not have exited yet */
		start_teardown("emergency");
		break;
	case PHASE_END:
		say_end();
		end();
	default:
		break;
	}
}

static void arm(void)
{
	int64_t due = phases_due_ns(&phases);

	if (due)
		loop_arm(&timer, due);
	else
		loop_disarm(&timer);
}

void shutdown_step(void)
{
	for (;;) {
		enum phase before = phases.phase;
		enum phase_turn turn = PHASE_STAYS;

		if (before != PHASE_NONE)
			turn = phases_step(&phases, complete(), loop_now_ns());
		if (turn == PHASE_STAYS)
			break;
		if (turn == PHASE_FORCE) {
			event_say(EVENT_WARNING, "gantry", "shutdown: time for services is over, killing the rest");
			plan_hurry(plan, 0, loop_now_ns());
			break;	/* the plan must kill them first */
		}
		if (phases.overran[before])
			say_overrun(before);
		if (phases.took_ns[before] > SECOND / 2)
			event_say(EVENT_INFO, "gantry", "shutdown: %s took %.2f s", phase_name(before),
				  took_s(before, before));
		begin_phase();
	}
	arm();
}

static void wake_loop(struct loop_timer *which)
{
	(void)which;	/* init.c calls shutdown_step() in each turn of the loop */
}

void shutdown_nodes_down(void)
{
	nodes_down = true;
	shutdown_step();
}

bool shutdown_begun(void)
{
	return phases.phase != PHASE_NONE;
}

static void hurry(enum shutdown_kind how, const char *by, int64_t now)
{
	requests++;
	event_say(EVENT_NOTICE, "gantry", "another shutdown request from %s: %s; ends in %s", by,
		  requests == 2 ? "remaining services have 5 s" : "killing remaining services", kind_names[how]);
	kind = how;
	if (phases.phase == PHASE_NODES)
		plan_hurry(plan, requests == 2 ? HURRY_NS : 0, now);
}

void shutdown_begin(enum shutdown_kind how, const char *by, const char *reason)
{
	int64_t now = loop_now_ns();
	struct fields fields = {0};

	if (shutdown_begun()) {
		hurry(how, by, now);
		return;
	}
	kind = how;
	requests = 1;
	snprintf(requested_by, sizeof(requested_by), "%s", by);
	snprintf(requested_why, sizeof(requested_why), "%s", reason ? reason : "");
	fields_add(&fields, "for", "%s", kind_names[kind]);
	fields_add(&fields, "by", "%s", by);
	if (reason && reason[0])
		event_say(EVENT_NOTICE, "gantry", "%s requested by %s: %s", kind_names[kind], by, reason);
	event_state(EVENT_NOTICE, "gantry", "stopping", &fields);
	phases_begin(&phases, plan->config->shutdown_timeout_ms * 1000000LL, now);
	arm();
	plan_shutdown(plan, now);
}

void shutdown_init(struct plan *with)
{
	plan = with;
	timer.fire = look_timer.fire = wake_loop;
}
