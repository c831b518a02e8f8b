/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way down (docs/shutdown.md): performs what phases.h decides. Nothing in it waits for a process, a disk or a
 * peer without an end: one deadline stands over the whole, and when it has passed reboot(2) is called from wherever
 * things are.
 */
#ifndef INIT_PID1_SHUTDOWN_H
#define INIT_PID1_SHUTDOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/plan/plan.h"

enum shutdown_kind {
	SHUTDOWN_POWEROFF,
	SHUTDOWN_REBOOT,
	SHUTDOWN_HALT,
	SHUTDOWN_KIND_MAX,
};

/* Before the loop; the plan is kept. */
void shutdown_init(struct plan *plan);

/*
 * First call: begins. A second one leaves nobody more than five seconds of grace, a third one none. The latest one
 * says how it ends.
 */
void shutdown_begin(enum shutdown_kind kind, const char *by, const char *reason);

bool shutdown_begun(void);

/* PLAN_DOWN came. */
void shutdown_nodes_down(void);

/* A node was made to end, or was left behind: the record says so. */
void shutdown_not_clean(const char *name, const char *why);

/* A child ended, or followers were served: look whether the next step can be taken. */
void shutdown_step(void);

#endif
