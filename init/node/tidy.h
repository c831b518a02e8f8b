/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cleans up after containers, in processes of the role container-tidy, one at a time: the remains of a container that
 * was killed and is not restarted (a restart removes them itself, container.c); and once a boot, after all containers
 * have run for a while, images that no service references.
 */
#ifndef INIT_NODE_TIDY_H
#define INIT_NODE_TIDY_H

#include <stdbool.h>
#include <stddef.h>

#include "init/lib/config.h"
#include "init/plan/plan.h"

#define TIDY_CHILDREN 1

/* Call before the loop; all are kept. options: the nodes' memfds, which the caller owns. */
void tidy_init(const struct config *config, const struct plan *plan, const int *options);

/* Call when the process of a node has exited (killed: by a signal), and then when the node's state has changed. */
void tidy_ended(size_t node, bool killed);
void tidy_changed(size_t node, enum node_state state);

#endif
