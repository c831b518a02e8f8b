/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a stage has found can end after the stage: a lease, for one. A stage type that says so (`watches`) is run once
 * more when it is done, in the mode "watch": that process stays, and reports each change as an event, as facts and as
 * the reason that the status shows. It ends when the stage runs again or the machine stops, and is started again if it
 * ends by itself.
 */
#ifndef INIT_NODE_WATCH_H
#define INIT_NODE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "init/plan/plan.h"

/* How many processes there are at most. */
size_t watch_count(const struct config *config);

/* `options`: of nodes_options(). 0 or -ENOMEM. */
int watch_init(const struct plan *plan, const int *options);

/* Starts and ends them as the plan's state demands; call in each turn of the loop. */
void watch_turn(void);

/* What the process of this node has said last; NULL: nothing, or there is none. */
const char *watch_word(size_t node);

#endif
