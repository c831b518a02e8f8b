/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The roles that are no nodes of the plan but part of Gantry itself: the API's two, the logger and the services' log.
 * Each speaks the control protocol (service-log: logwire.h) over a socket it inherits, and is started again half a
 * second after it has ended, for ever.
 */
#ifndef INIT_PID1_DAEMON_H
#define INIT_PID1_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

enum daemon_role {
	DAEMON_API,		/* HTTP */
	DAEMON_API_TLS,		/* TLS in front of it */
	DAEMON_LOGGER,
	DAEMON_SERVICE_LOG,
	DAEMON_MAX,
};

/* JSON options of each, NULL: this role is not configured. */
void daemon_init(const char *api_json, const char *log_json, bool service_log);

const char *daemon_name(enum daemon_role role);

/* It shall run from now on. */
void daemon_want(enum daemon_role role);

/*
 * With sig: it shall run no more, and gets sig. False: there is no process. sig 0 only asks, and keeps it from being
 * started again.
 */
bool daemon_stop(enum daemon_role role, int sig);

/* 0: there is no process. */
pid_t daemon_pid(enum daemon_role role);

#endif
