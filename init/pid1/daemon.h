/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Daemons: the roles that are part of Gantry and not nodes of the plan: api, api-tls, logger, service-log and tpm. Each
 * is a row in daemon.c: its options in boot.json, the nodes that it needs, its permissions on the control socket, and
 * the phase of a shutdown that ends it. A daemon that exits is restarted after half a second, without end.
 */
#ifndef INIT_PID1_DAEMON_H
#define INIT_PID1_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

#include "init/lib/config.h"
#include "init/plan/phases.h"
#include "init/plan/plan.h"

/* Call after logpipe_init(); both are kept. api_ready: called in each turn while the API's needs are met. */
void daemon_init(const struct config *config, const struct plan *plan, void (*api_ready)(void));

/* Call after each turn of the plan: starts the daemons that can be started. stopping: starts none. */
void daemon_turn(bool stopping);

/*
 * Stops the daemons that end in this phase: they are not restarted and get sig (0: none), except service-log, which
 * exits by itself once all is written. Does not wait; returns true if one of them is still running.
 */
bool daemon_stop(enum phase phase, int sig);

/* The pid of a running daemon that ends in this phase; 0: none. */
pid_t daemon_pid(enum phase phase);

#endif
