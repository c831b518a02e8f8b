/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is done with a service's files between the moment it appears ready and the moment those who need it hear so:
 * the mode of a socket, say. A process of its own does it, as root; a step that fails is the service's failure.
 */
#ifndef INIT_NODE_WHEN_READY_H
#define INIT_NODE_WHEN_READY_H

#include <stddef.h>

struct config;
struct plan;

/* How many processes it may have at once. */
size_t when_ready_children(const struct config *config);

/* Before the loop; 0 or -ENOMEM. Both are kept. */
int when_ready_init(const struct config *config, struct plan *plan);

/* The service appears ready: it becomes so in the plan, now or once its steps are done. */
void when_ready_begin(size_t node);

/* The service has ended: what its steps do now matters no more. */
void when_ready_forget(size_t node);

#endif
