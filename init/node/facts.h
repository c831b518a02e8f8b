/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each node has told of itself and status shows: what it found out (REPORT_FACTS) and how far it is
 * (REPORT_PROGRESS). The latest of each is kept in memory taken once, and outlives the process that told it.
 */
#ifndef INIT_NODE_FACTS_H
#define INIT_NODE_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/control.h>
#include <gantry/report.h>

/* Room for n nodes. 0 or -ENOMEM. */
int facts_init(size_t n);

/* False: malformed, and what was known stays. Values are cleaned like those of events. */
bool facts_take(size_t node, const char *body, size_t size);

/* "key=value" NUL each, in *ret; returns their size, 0 for none. */
size_t facts_of(size_t node, const char **ret);

void facts_take_progress(size_t node, const struct report_progress *progress, const char *text, size_t size);

/* Fills in what belongs to progress. */
void facts_progress(size_t node, struct control_node *ret);

#endif
