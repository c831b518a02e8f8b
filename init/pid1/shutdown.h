/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shutdown (docs/shutdown.md): performs the phases of phases.h. Every wait for a process, a disk or a peer is
 * bounded: the whole shutdown has one deadline, and when it has passed, reboot(2) is called in whatever phase it is.
 * Only the last phase blocks, and does not return.
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

/* Call before the loop; the plan is kept. */
void shutdown_init(struct plan *plan);

/*
 * The first call begins the shutdown; the second limits the remaining grace of each node to 5 s, the third to 0. The
 * latest `kind` counts. by: the requester's name; reason: may be NULL or empty. Both are copied.
 */
void shutdown_begin(enum shutdown_kind kind, const char *by, const char *reason);

bool shutdown_begun(void);

/* Call at PLAN_DOWN: no node runs any more. */
void shutdown_nodes_down(void);

/* Adds a node that was killed or left behind to the record; ignored before the shutdown. */
void shutdown_not_clean(const char *name, const char *why);

/* Call in each turn of the loop: enters the next phases if the current one is complete or out of time. */
void shutdown_step(void);

#endif
