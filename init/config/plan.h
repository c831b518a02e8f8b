/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks all nodes together: unique names, needs that exist and can be met, no circles, a stage that gives each
 * artifact.
 */
#ifndef INIT_CONFIG_PLAN_H
#define INIT_CONFIG_PLAN_H

#include "check.h"
#include "init/lib/config.h"

/* config's nodes are filled but for needs and after, which are resolved here. 0, -EINVAL as of check_fail(). */
int config_plan(struct check *check, struct config *config);

#endif
