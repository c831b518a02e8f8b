/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements daemon.h. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "act.h"
#include "daemon.h"
#include "handover.h"
#include "init/control/control.h"
#include "init/event/event.h"
#include "init/lib/loop.h"
#include "init/lib/memfd.h"
#include "init/node/task.h"
#include "init/node/tpm-owner.h"
#include "init/process/logpipe.h"

#define AGAIN_NS 500000000LL

struct daemon {
	const char *name;
	const char *source;	/* source of its events */
	const char *argv[2];
	size_t json;		/* offset of its options in struct config; NULL there: see wanted() */
	size_t needs, n_needs;	/* offsets of the nodes that it needs; 0: none */
	unsigned permissions;	/* on the control socket, unless attach */
	enum phase ends_in;	/* the phase of a shutdown */
	bool early;		/* started at once; only ready() waits for its needs */
	bool spared;		/* gets no signal: it exits by itself */
	int (*attach)(int fd);	/* takes over PID 1's end of its channel; NULL: the control protocol */
	void (*ready)(void);	/* called in each turn while its needs are met; NULL: none */
	bool (*wanted)(const struct config *config);	/* whether it is started; NULL: if it has options */
	/* Receives its reports: descriptor 3 is a report socket then, and 5 its channel. NULL: it has none. */
	void (*reported)(struct child *child, enum report_kind kind, const char *strings, size_t size);

	int options_fd;
	bool configured, stopped;
	struct task task;
	struct loop_timer again;
};

#define OPTIONS(key) .json = offsetof(struct config, key##_json)
#define NEEDS(key)   .needs = offsetof(struct config, key##_needs), .n_needs = offsetof(struct config, n_##key##_needs)

enum {API, API_TLS, LOGGER, SERVICE_LOG, TPM};

static struct daemon daemons[] = {
	[API] = {.name = "api", .source = ACT_SOURCE, .argv = {"api"}, OPTIONS(api), NEEDS(api), .early = true,
		 .permissions = CONTROL_MAY_READ | CONTROL_MAY_POST | CONTROL_MAY_ACT, .ends_in = PHASE_API},
	[API_TLS] = {.name = "api-tls", .source = ACT_SOURCE, .argv = {"api-tls"}, OPTIONS(api), NEEDS(api),
		     .early = true, .permissions = CONTROL_MAY_POST, .ends_in = PHASE_API},
	[LOGGER] = {.name = "logger", .source = "logger", .argv = {"logger"}, OPTIONS(log), NEEDS(log),
		    .permissions = CONTROL_MAY_READ | CONTROL_MAY_LAST_SHUTDOWN, .ends_in = PHASE_LOG},
	[SERVICE_LOG] = {.name = "service-log", .source = "service-log", .argv = {"service-log"}, OPTIONS(logs),
			 NEEDS(logs), .early = true, .spared = true, .attach = logpipe_attach,
			 .ready = logpipe_open_directory, .ends_in = PHASE_API},
	[TPM] = {.name = "tpm", .source = "tpm", .argv = {"tpm"}, OPTIONS(tpm), .early = true,
		 .wanted = tpm_owner_wanted, .attach = tpm_owner_attach, .reported = tpm_owner_reported,
		 .ends_in = PHASE_API},
};

#define DAEMONS (sizeof(daemons) / sizeof(*daemons))

static const struct config *config;
static const struct plan *plan;

/* ---- the processes ---------------------------------------------------------------------------------------------- */

static void ended(struct task *task, const struct process_exit *how)
{
	struct daemon *daemon = TASK_OWNER(struct daemon, task, task);

	if (daemon->stopped)
		return;
	event_say(EVENT_ERROR, daemon->source, "%s exited (%s %d)%s%s; restarting it", daemon->name,
		  how->status < 0 ? "signal" : "status", how->status < 0 ? how->signal : how->status,
		  how->reason ? ": " : "", how->reason ? how->reason : "");
	loop_arm(&daemon->again, loop_now_ns() + AGAIN_NS);
}

static int try_start(struct daemon *daemon)
{
	struct child_spec spec = {CHILD_OF_NONE, .source = daemon->source, .argv = daemon->argv};
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	spec.options_fd = daemon->options_fd;
	spec.reported = daemon->reported;
	if (daemon->reported)
		spec.payload_fd = pair[1];
	else
		spec.channel_fd = pair[1];
	r = task_start(&daemon->task, &spec, 0);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	r = daemon->attach ? daemon->attach(pair[0]) :
	    control_adopt(pair[0], daemon->permissions, daemon->name, daemon->source);
	if (r < 0)
		task_kill(&daemon->task);
	return 0;
}

/* Connects api and api-tls by a new pair when one of them was started; the other then drops the old connection. */
static void connect_api(void)
{
	int pair[2];

	if (!daemons[API].task.child || !daemons[API_TLS].task.child)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		event_say(EVENT_ERROR, ACT_SOURCE, "cannot connect api and api-tls: %s", strerror(errno));
		return;
	}
	control_hand(daemons[API].name, HAND_PEER, pair[0]);
	control_hand(daemons[API_TLS].name, HAND_PEER, pair[1]);
}

static void start(struct daemon *daemon)
{
	int r;

	if (daemon->stopped || daemon->task.child)
		return;
	r = try_start(daemon);
	if (r < 0) {
		event_say(EVENT_WARNING, daemon->source, "cannot start %s: %s; trying again", daemon->name,
			  strerror(-r));
		loop_arm(&daemon->again, loop_now_ns() + AGAIN_NS);
		return;
	}
	handover_to(daemon->name);
	if (daemon == &daemons[API] || daemon == &daemons[API_TLS])
		connect_api();
}

static void again(struct loop_timer *timer)
{
	start(TASK_OWNER(struct daemon, again, timer));
}

/* ---- when ------------------------------------------------------------------------------------------------------- */

static bool needs_met(const struct daemon *daemon)
{
	const uint16_t *needs = (const void *)((const char *)config + daemon->needs);
	const size_t *n = (const void *)((const char *)config + daemon->n_needs);

	for (size_t i = 0; daemon->n_needs && i < *n; i++) {
		enum node_state state = plan->nodes[needs[i]].state;

		if (state != NODE_DONE && state != NODE_SKIPPED && state != NODE_READY)
			return false;
	}
	return true;
}

void daemon_turn(bool stopping)
{
	for (size_t i = 0; i < DAEMONS; i++) {
		struct daemon *daemon = &daemons[i];
		bool met;

		if (!daemon->configured)
			continue;
		met = needs_met(daemon);
		if (!stopping && (daemon->early || met) && !daemon->again.armed)
			start(daemon);
		if (met && daemon->ready)
			daemon->ready();
	}
}

bool daemon_stop(enum phase phase, int sig)
{
	bool any = false;

	for (size_t i = 0; i < DAEMONS; i++) {
		struct daemon *daemon = &daemons[i];

		if (daemon->ends_in != phase)
			continue;
		daemon->stopped = true;
		loop_disarm(&daemon->again);
		if (sig && daemon->task.child && !daemon->spared)
			child_signal(daemon->task.child, sig);
		any |= daemon->task.child != NULL;
	}
	return any;
}

pid_t daemon_pid(enum phase phase)
{
	for (size_t i = 0; i < DAEMONS; i++)
		if (daemons[i].ends_in == phase && daemons[i].task.child)
			return child_pid(daemons[i].task.child);
	return 0;
}

void daemon_init(const struct config *with, const struct plan *with_plan, void (*api_ready)(void))
{
	config = with;
	plan = with_plan;
	daemons[API].ready = api_ready;
	for (size_t i = 0; i < DAEMONS; i++) {
		struct daemon *daemon = &daemons[i];
		char *const *given = (char *const *)((const char *)config + daemon->json);
		const char *json = daemon->wanted && !*given ? "{}" : *given;

		daemon->task.ended = ended;
		daemon->again.fire = again;
		daemon->options_fd = -1;
		daemon->configured = daemon->wanted ? daemon->wanted(config) :
				     json && (!daemon->attach || logpipe_active());
		/* service-log gets its options over its channel. */
		if (daemon->configured && daemon != &daemons[SERVICE_LOG])
			daemon->options_fd = memfd_sealed(daemon->name, json, strlen(json));
	}
}
