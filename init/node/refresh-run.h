/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Performs what refresh.h decides: runs the steps as processes of their stages' types, keeps the new document beside
 * the current one, and tells services. PID 1 reads neither document: the config stage says whether they differ and
 * which switches are on, the render stages say which files changed.
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

/* Before the loop; options: the nodes' memfds, processes: their live children or NULL; both as long as the plan. */
void refresh_run_init(const struct config *config, struct plan *plan, const int *options,
		      struct child *const *processes);

/* After each turn of the plan. */
void refresh_run_turn(void);

/* Called when a refresh is over, whoever began it: did it go well, and what there is to say about it. */
void refresh_run_on_end(void (*tell)(bool good, const char *text));

/*
 * Begins a refresh of the configuration; how it ends is an event (docs/refresh.md). 0; -EINPROGRESS: one is
 * running; -ENODATA: the boot has not got its configuration yet; -EOPNOTSUPP: boot.json has no `refresh`; -ESHUTDOWN.
 */
int refresh_run_begin(void);

/* Where refreshes stand. False: boot.json has no `refresh`, and *ret is untouched. */
bool refresh_run_status(struct control_refresh *ret);

/* What a stage of the plan reports of enabled_if keys and of changed files (child.h). */
void refresh_run_told(struct child *child, enum report_kind kind, const char *strings, size_t size);

/* A service has become ready: a signal that it could not take before is sent. */
void refresh_run_ready(size_t node);

/* A node has ended, well or not: what a config stage reported counts only now; a signal to a service is no longer due. */
void refresh_run_ended(size_t node, bool good);

#endif
