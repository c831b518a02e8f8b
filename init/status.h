/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the boot stands, as gantryctl and the API show it: collected from the answers to CONTROL_STATUS, written as
 * a JSON document, a table or a chart.
 */
#ifndef INIT_STATUS_H
#define INIT_STATUS_H

#include <stddef.h>

#include <gantry/control.h>

#include "text.h"

#define STATUS_NODES_MAX 256
#define STATUS_JSON_MAX  (1u << 20)

struct status {
	struct control_boot boot;
	struct control_node nodes[STATUS_NODES_MAX];
	struct status_facts {		/* of the node with the same index */
		size_t size;
		char bytes[NODE_FACTS_MAX];
	} facts[STATUS_NODES_MAX];
	size_t n_nodes;
};

/* Takes one CONTROL_BOOT (which starts the collection anew), CONTROL_NODE or CONTROL_FACTS. 0 or -EBADMSG. */
int status_take(struct status *status, unsigned kind, const void *body, size_t size);

void status_json(struct text *t, const struct status *status);
void status_table(struct text *t, const struct status *status);

/* One bar a stage and service, `columns` wide. */
void status_chart(struct text *t, const struct status *status, size_t columns);

#endif
