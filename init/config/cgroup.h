/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which values the settings of a service's cgroup can have, as far as one can know without the kernel that will get
 * them (its Documentation/admin-guide/cgroup-v2.rst).
 */
#ifndef INIT_CONFIG_CGROUP_H
#define INIT_CONFIG_CGROUP_H

#include <stdbool.h>

/* NULL: it may be; otherwise what is wrong: "64X" WRONG. A setting that is not known here may be anything. */
const char *cgroup_value_wrong(const char *setting, const char *value);

/* A known one: where the kernel has no such file, it is not a mistake in the configuration. */
bool cgroup_setting_known(const char *setting);

#endif
