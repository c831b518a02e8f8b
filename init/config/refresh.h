/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the settings for changes of the configuration: `refresh`, `enabled_if`, `on_change` and the verb
 * "@refresh-config" each refer to something that another part of the file must define.
 */
#ifndef INIT_CONFIG_REFRESH_H
#define INIT_CONFIG_REFRESH_H

#include "check.h"
#include "init/lib/config.h"

/*
 * After the names were resolved, before circles are looked for: a service with enabled_if gets a need of the config
 * stage, and that stage the keys among its options. 0, -ENOMEM, or -EINVAL as of check_fail().
 */
int config_refresh(struct check *check, struct config *config);

#endif
