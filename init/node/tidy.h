/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tidying up after containers, in processes of their own (the role container-tidy), one at a time: what is left of one
 * that was killed and is not started again (whoever starts again does it himself, container.c); and, once a boot and
 * not before all have run well for a while, images that none of them names any more.
 */
#ifndef INIT_NODE_TIDY_H
#define INIT_NODE_TIDY_H

#include <stdbool.h>
#include <stddef.h>

#include "init/lib/config.h"
#include "init/plan/plan.h"

#define TIDY_CHILDREN 1

/* Before the loop; options: the nodes' memfds, which stay the caller's. */
void tidy_init(const struct config *config, const struct plan *plan, const int *options);

/* The process of a node has ended, by a signal or not; and, always later, the node is in another state. */
void tidy_ended(size_t node, bool killed);
void tidy_changed(size_t node, enum node_state state);

#endif
