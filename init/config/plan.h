/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of the check that looks at all nodes together: unique names, needs that exist and can be met, no circles, a
 * stage that gives each artifact.
 */
#ifndef INIT_CONFIG_PLAN_H
#define INIT_CONFIG_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "check.h"
#include "init/lib/config.h"

/* config's nodes are filled but for needs and after, which are resolved here. 0, -EINVAL as of check_fail(). */
int config_plan(struct check *check, struct config *config);

/* The objects at the top whose `needs` name nodes: those of the daemons (init/pid1/daemon.c). key NULL ends it. */
struct daemon_needs {
	const char *key;
	size_t needs, n_needs;	/* in struct config */
};

extern const struct daemon_needs daemon_needs[];

/* Its list, and in *ret_n where its length is. */
uint16_t *daemon_needs_of(const struct daemon_needs *daemon, struct config *config, size_t **ret_n);

#endif
