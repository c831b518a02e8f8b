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
#include "init/control/control.h"
#include "init/event/event.h"
#include "init/lib/loop.h"
#include "init/lib/memfd.h"
#include "init/node/artifact.h"
#include "init/process/child.h"
#include "init/process/logpipe.h"

#define AGAIN_NS 500000000LL

struct daemon {
	const char *name;
	const char *source;	/* of its events */
	const char *argv[2];
	unsigned permissions;
	int options_fd;
	bool configured, wanted, stopped;
	struct child *child;
	struct loop_timer again;
};

static struct daemon daemons[DAEMON_MAX] = {
	[DAEMON_API] = {.name = "api", .source = ACT_SOURCE, .argv = {"api"}, .options_fd = -1,
			.permissions = CONTROL_MAY_READ | CONTROL_MAY_POST | CONTROL_MAY_ACT},
	[DAEMON_API_TLS] = {.name = "api-tls", .source = ACT_SOURCE, .argv = {"api-tls"}, .options_fd = -1,
			    .permissions = CONTROL_MAY_POST},
	[DAEMON_LOGGER] = {.name = "logger", .source = "logger", .argv = {"logger"}, .options_fd = -1,
			   .permissions = CONTROL_MAY_READ | CONTROL_MAY_TELL},
	[DAEMON_SERVICE_LOG] = {.name = "service-log", .source = "service-log", .argv = {"service-log"},
				.options_fd = -1},
};

const char *daemon_name(enum daemon_role role)
{
	return daemons[role].name;
}

static void exited(struct child *child, const struct process_exit *how)
{
	struct daemon *daemon = NULL;

	for (int i = 0; i < DAEMON_MAX; i++)
		if (daemons[i].child == child)
			daemon = &daemons[i];
	if (!daemon)
		return;
	daemon->child = NULL;
	if (daemon->stopped)
		return;
	event_say(EVENT_ERROR, daemon->source, "%s ended (%s %d)%s%s; starting it again", daemon->name,
		  how->status < 0 ? "signal" : "status", how->status < 0 ? how->signal : how->status,
		  how->reason ? ": " : "", how->reason ? how->reason : "");
	loop_arm(&daemon->again, loop_now_ns() + AGAIN_NS);
}

static int try_start(struct daemon *daemon)
{
	struct child_spec spec = {.source = daemon->source, .argv = daemon->argv, .node = CHILD_NO_NODE,
				  .options_fd = daemon->options_fd, .cgroup_fd = -1, .exited = exited};
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	spec.channel_fd = pair[1];
	r = child_start(&spec, &daemon->child);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	r = daemon == &daemons[DAEMON_SERVICE_LOG] ? logpipe_attach(pair[0]) :
	    control_adopt(pair[0], daemon->permissions, daemon->name, daemon->source);
	if (r < 0)
		child_signal(daemon->child, SIGKILL);
	return 0;
}

/* A fresh pair whenever one of the two is new: the other drops what came over the old one. */
static void connect_api(void)
{
	int pair[2];

	if (!daemons[DAEMON_API].child || !daemons[DAEMON_API_TLS].child)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		event_say(EVENT_ERROR, ACT_SOURCE, "socket pair: %s", strerror(errno));
		return;
	}
	control_hand(daemons[DAEMON_API].name, HAND_PEER, pair[0]);
	control_hand(daemons[DAEMON_API_TLS].name, HAND_PEER, pair[1]);
}

static void start(struct daemon *daemon)
{
	int r;

	if (daemon->stopped || daemon->child)
		return;
	r = try_start(daemon);
	if (r < 0) {
		event_say(EVENT_WARNING, daemon->source, "%s not started: %s; trying again", daemon->name,
			  strerror(-r));
		loop_arm(&daemon->again, loop_now_ns() + AGAIN_NS);
		return;
	}
	act_hand(daemon->name);
	if (daemon == &daemons[DAEMON_API] || daemon == &daemons[DAEMON_API_TLS])
		connect_api();
}

static void again(struct loop_timer *timer)
{
	start((struct daemon *)((char *)timer - offsetof(struct daemon, again)));
}

void daemon_want(enum daemon_role role)
{
	struct daemon *daemon = &daemons[role];

	if (!daemon->configured || daemon->wanted || daemon->stopped)
		return;
	daemon->wanted = true;
	start(daemon);
}

bool daemon_stop(enum daemon_role role, int sig)
{
	struct daemon *daemon = &daemons[role];

	daemon->stopped = true;
	loop_disarm(&daemon->again);
	if (!daemon->child)
		return false;
	if (sig)
		child_signal(daemon->child, sig);
	return true;
}

static void configure(struct daemon *daemon, const char *json)
{
	daemon->again.fire = again;
	daemon->configured = json != NULL;
	if (json)
		daemon->options_fd = memfd_sealed(daemon->name, json, strlen(json));
}

void daemon_init(const char *api_json, const char *log_json, bool service_log)
{
	configure(&daemons[DAEMON_API], api_json);
	configure(&daemons[DAEMON_API_TLS], api_json);
	configure(&daemons[DAEMON_LOGGER], log_json);
	configure(&daemons[DAEMON_SERVICE_LOG], NULL);
	daemons[DAEMON_SERVICE_LOG].configured = service_log;
}

pid_t daemon_pid(enum daemon_role role)
{
	return daemons[role].child ? child_pid(daemons[role].child) : 0;
}
