/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Performs the actions of refresh.h: runs each step as a process of its stage's type, keeps the new document beside the
 * current one, and notifies services. PID 1 reads neither document: the config stage reports whether they differ and
 * which `enabled_if` keys are on, the render stages report which files changed.
 */
#ifndef INIT_NODE_REFRESH_RUN_H
#define INIT_NODE_REFRESH_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/control.h>
#include <gantry/report.h>

#include "init/lib/config.h"
#include "init/plan/plan.h"
#include "init/process/child.h"

#define REFRESH_CHILDREN 1	/* processes at once */

/* Call before the loop. By node: options: its memfd; processes: its live child or NULL. Both are kept. */
void refresh_run_init(const struct config *config, struct plan *plan, const int *options,
		      struct child *const *processes);

/* Call after each turn of the plan. */
void refresh_run_turn(void);

/* Sets the function called when a refresh ends: whether it succeeded, and the result or the reason as text. */
void refresh_run_on_end(void (*report)(bool good, const char *text));

/*
 * Starts a refresh; its result is an event (docs/refresh.md). 0; -EINPROGRESS: a refresh is running; -ENODATA: the boot
 * has not used its configuration yet; -EOPNOTSUPP: boot.json has no `refresh`; -ESHUTDOWN.
 */
int refresh_run_begin(void);

/* The state of the refreshes. Returns false if boot.json has no `refresh`, and leaves *ret. */
bool refresh_run_status(struct control_refresh *ret);

/* Receives a stage's report of enabled_if keys or of changed files (child.h). */
void refresh_run_report(struct child *child, enum report_kind kind, const char *strings, size_t size);

/* Call when a service has become ready: sends it the signal that was deferred until then. */
void refresh_run_ready(size_t node);

/* Call when a node has ended: applies the keys that a config stage reported if `good`, drops a service's due signal. */
void refresh_run_ended(size_t node, bool good);

#endif
