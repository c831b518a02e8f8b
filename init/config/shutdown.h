/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a shutdown may take. Without `shutdown.timeout_s` it has time for the longest chain of graces; a time-out
 * that is too short for a configured grace is refused, so that a database gets the grace that boot.json promises.
 */
#ifndef INIT_CONFIG_SHUTDOWN_H
#define INIT_CONFIG_SHUTDOWN_H

#include "check.h"
#include "init/lib/config.h"

/* Sets config's shutdown_timeout_ms; its needs are resolved. 0, or -EINVAL as of check_fail(). */
int config_shutdown(struct check *check, struct config *config);

/* The most that stopping all nodes takes if each one uses its whole grace, those that wait for it one after another. */
int64_t config_graces_ms(const struct config *config);

#endif
