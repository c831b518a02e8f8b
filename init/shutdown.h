/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way down, in steps that each have a deadline: nodes (by the plan), the API, the persistent log, whatever is
 * left, the disk (role teardown), reboot(2). It always ends: one deadline stands over the whole, and when it has
 * passed reboot(2) is called from wherever things are.
 */
#ifndef INIT_SHUTDOWN_H
#define INIT_SHUTDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "boot.h"
#include "plan.h"

/* The two children that are no nodes; either may be absent. */
struct shutdown_hooks {
	bool (*api_stop)(int sig);	/* sends sig to the API; false: it is gone */
	bool (*logger_running)(void);
	void (*logger_kill)(void);
	/* Starts the teardown role; false: could not. */
	bool (*teardown_start)(void);
	bool (*teardown_running)(void);
	void (*teardown_kill)(void);
};

void shutdown_init(struct plan *plan, const struct shutdown_hooks *hooks);

/* First call: begins. Later calls: what is left is hurried. */
void shutdown_begin(enum shutdown_kind kind, const char *by, const char *reason);

bool shutdown_begun(void);

/* PLAN_DOWN came. */
void shutdown_nodes_down(void);

/* A child ended, or followers were served: look whether the next step can be taken. */
void shutdown_step(void);

#endif
