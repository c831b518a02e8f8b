/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan in words. Include plan.h. */
#ifndef INIT_PLAN_TEXT_H
#define INIT_PLAN_TEXT_H

#include "state.h"

/* How a node's process ended, in one line, with its own reason where it gave one; init/plan/text.c. */
void plan_describe(const struct plan_node *node, const struct process_exit *how, char *text, size_t size);
const char *node_state_name(enum node_state state);
const char *boot_state_name(enum boot_state state);

#endif
