/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The values that the settings of a service's cgroup can have, as far as they are known without the kernel that gets
 * them (its Documentation/admin-guide/cgroup-v2.rst).
 */
#ifndef INIT_CONFIG_CGROUP_H
#define INIT_CONFIG_CGROUP_H

#include <stdbool.h>

/* NULL: valid, or the setting is unknown here; otherwise the reason, as in: "64X" REASON. */
const char *cgroup_value_wrong(const char *setting, const char *value);

/* Known: if the kernel has no such file, the configuration is not at fault. */
bool cgroup_setting_known(const char *setting);

#endif
