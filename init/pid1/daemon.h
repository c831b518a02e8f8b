/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The roles that are not nodes of the plan but part of Gantry itself: the API's two, the logger and the services' log. Each
 * is a row in daemon.c: its options in boot.json, the nodes that it needs, what it may ask on the control socket, and the
 * phase of a shutdown that ends it. It is started again half a second after it has ended, for ever.
 */
#ifndef INIT_PID1_DAEMON_H
#define INIT_PID1_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

#include "init/lib/config.h"
#include "init/plan/phases.h"
#include "init/plan/plan.h"

/* After logpipe_init(); both are kept. api_ready: called in each turn while the nodes that the API needs are there. */
void daemon_init(const struct config *config, const struct plan *plan, void (*api_ready)(void));

/* After each turn of the plan: starts what can be started now. stopping: the machine is. */
void daemon_turn(bool stopping);

/*
 * Those that this phase ends are not started again, and get sig (0: none), except the service log, which ends by itself
 * once all is written. True: one of them still runs.
 */
bool daemon_stop(enum phase phase, int sig);

/* A process that this phase ends; 0: there is none. */
pid_t daemon_pid(enum phase phase);

#endif
