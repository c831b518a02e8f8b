/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of the boot, collected from the answers to CONTROL_STATUS, and its JSON document: for gantryctl, which also
 * prints it (ctl/screen.h), and for the API, which also draws it (api/chart.h) and measures it (api/metrics.c).
 */
#ifndef INIT_SHOW_STATUS_H
#define INIT_SHOW_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/control.h>

#include "init/lib/logtail.h"
#include "init/lib/text.h"

#define STATUS_NODES_MAX 1200
#define STATUS_JSON_MAX  (48u << 20)	/* more than the nodes' texts take when every character is escaped */

struct status {
	struct control_boot boot;
	struct control_node nodes[STATUS_NODES_MAX];
	struct status_facts {		/* of the node with the same index */
		size_t size;
		char bytes[NODE_FACTS_MAX];
	} facts[STATUS_NODES_MAX];
	struct status_lines {		/* likewise: the last lines of a service */
		bool known;		/* it has a log */
		uint64_t dropped;	/* lines that are in no file */
		size_t size;
		char bytes[LOGTAIL_BYTES_MAX];	/* each line ended by NUL */
	} lines[STATUS_NODES_MAX];
	struct status_facts last_shutdown;	/* of the boot before this one; size 0: not known */
	struct control_refresh refresh;
	bool refreshes;			/* boot.json has a `refresh`, so the above counts */
	size_t n_nodes;
};

/* Takes one CONTROL_BOOT (which starts the collection anew), REFRESHES, NODE, FACTS or LINES. 0 or -EBADMSG. */
int status_take(struct status *status, unsigned kind, const void *body, size_t size);

/* When the node ended (a service: became ready), or now while it has not. */
int64_t status_end_ns(const struct status *status, const struct control_node *node);

/* When the boot was first booted or held, or now. */
int64_t status_boot_end_ns(const struct status *status);

/* Where a chart ends: then, or at the end of a stage that ran longer. */
int64_t status_axis_end_ns(const struct status *status);

/* From the node's first start to status_end_ns(); 0: it was never started. */
int64_t status_took_ns(const struct status *status, const struct control_node *node);

/* Since the latest start of a process that runs; 0: none does. */
int64_t status_uptime_ns(const struct status *status, const struct control_node *node);

/* The facts of the first stage of that type, or NULL. */
const struct status_facts *status_facts_of(const struct status *status, const char *type);

/* A fact's value, or NULL. */
const char *status_fact(const struct status_facts *facts, const char *name);

/* Likewise, if it is a number; "-12.25" is one, as JSON writes it. */
const char *status_number(const struct status_facts *facts, const char *name);
bool status_is_number(const char *value);

/* The document of docs/status.schema.json; status-json.c. */
void status_json(struct text *t, const struct status *status);

#endif
