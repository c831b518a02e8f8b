/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which folders of the root file system stay writable (init/pid1/readonly.h): those that boot.json gives to a service,
 * a log or a stage that writes for long, and those of `hardening.writable`.
 */
#ifndef INIT_CONFIG_WRITABLE_H
#define INIT_CONFIG_WRITABLE_H

#include <stdbool.h>

#include "check.h"

/*
 * Fills config's `writable` and `mounts`. Refuses a folder with files that PID 1 or root executes or reads, or that
 * contains such a folder, and what is no folder in check's image, unless the root stays as it is. 0, -ENOMEM, or
 * -EINVAL as of check_fail().
 */
int config_writable(struct check *check, struct config *config);

/* Is the path at or below the mount point of a stage, or on a file system that PID 1 mounts? root: boot.json. */
bool writable_elsewhere(struct json_object *root, const char *path);

#endif
