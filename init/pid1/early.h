/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PID 1 sets up before its loop runs, in this order: mounts, hostname, sysctls, modules. Nothing here is
 * fatal: each thing that does not work is one event, and the boot goes on and fails, if it must, where the
 * thing is needed.
 */
#ifndef INIT_PID1_EARLY_H
#define INIT_PID1_EARLY_H

#include <stddef.h>

#include "init/lib/config.h"

/*
 * proc, sys, dev, pts, shm, run, tmp, cgroup2, securityfs, and the links in /dev. What is mounted already
 * stays as it is. 0, or the negative errno of the last failure.
 */
int early_mounts(void);

void early_hostname(const char *name);

/* Writes each value below /proc/sys. */
void early_sysctls(const struct config_pair *sysctls, size_t n);

/*
 * Loads the modules whose paths the file lists, one a line, in order; then mounts what only modules bring
 * (configfs). A child does it: a module that hangs costs at most MODULES_DEADLINE_MS, one that crashes costs
 * the child.
 */
void early_modules(const char *list);

#endif
