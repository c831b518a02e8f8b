/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The root file system holds what PID 1 and root execute and read, so it is made read-only before the first process:
 * uid 0 without capabilities owns its files and could replace any of them. Folders that boot.json gives away
 * (init/config/writable.h) stay writable; a process of Gantry's own that has to write elsewhere takes a view of its own
 * (init/lib/rootview.h).
 */
#ifndef INIT_PID1_READONLY_H
#define INIT_PID1_READONLY_H

#include <stdbool.h>
#include <stddef.h>

struct config;

/*
 * own_machine: PID 1 is the machine's own. In a PID namespace the root is left as it is, unless boot.json has
 * `hardening.writable`. 0, or negative errno and the reason: then nothing may be started.
 */
int readonly_root(const struct config *config, bool own_machine, char *reason, size_t size);

#endif
