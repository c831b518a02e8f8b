/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The facts (REPORT_FACTS) and progress (REPORT_PROGRESS) that each node reported, for the status. The latest of each
 * is kept in memory allocated once, also after the process that reported it has exited.
 */
#ifndef INIT_NODE_FACTS_H
#define INIT_NODE_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/control.h>
#include <gantry/report.h>

/* Allocates rows for n nodes. 0 or -ENOMEM. */
int facts_init(size_t n);

/* Replaces a node's facts, cleaned like an event's fields; returns false if malformed, and keeps the old ones. */
bool facts_take(size_t node, const char *body, size_t size);

/* Sets *ret to the node's "key=value" strings, each terminated by NUL; returns their size, 0 for none. */
size_t facts_of(size_t node, const char **ret);

void facts_take_progress(size_t node, const struct report_progress *progress, const char *text, size_t size);

/* Fills in the progress_ fields; leaves them if the node reported no progress. */
void facts_progress(size_t node, struct control_node *ret);

#endif
