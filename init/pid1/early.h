/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Setup before PID 1's loop runs, in this order: mounts, loopback, landlock, hostname, sysctls, modules. No failure
 * here is fatal: each is one event, and the boot continues. If it cannot do without the failed part, it fails where
 * that part is needed.
 * These functions may block.
 */
#ifndef INIT_PID1_EARLY_H
#define INIT_PID1_EARLY_H

#include <stddef.h>

#include "init/lib/config.h"

/*
 * Mounts proc, sys, dev, pts, shm, run, tmp, cgroup2 and securityfs, and creates the links in /dev. Leaves existing
 * mounts as they are. 0, or the negative errno of the last failed mount.
 */
int early_mounts(void);

/* Sets the network interface lo up. */
void early_loopback(void);

/* Reports what a kernel with an old landlock, or none, takes from the stages' confinement. */
void early_landlock(void);

/*
 * The image's name and version: the line "NAME VERSION" of the file `image` beside the configuration, each of at most
 * 63 letters, digits and "._+~-". Both "" if there is none. The texts stay.
 */
void early_image(const char *configuration, const char **ret_name, const char **ret_version);

void early_hostname(const char *name);

/* Writes each value below /proc/sys. */
void early_sysctls(const struct config_pair *sysctls, size_t n);

/*
 * Loads the modules that the file lists, one path a line, in order; then mounts file systems that need a module
 * (configfs). Blocks for MODULES_DEADLINE_MS at most: a child loads the modules, so a module that hangs or crashes
 * blocks or kills only the child.
 */
void early_modules(const char *list);

#endif
