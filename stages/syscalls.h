/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls that no stage has any business with: loading kernels and modules, looking into other processes, leaving
 * its namespaces, the raw machine. An attacker who runs code in a stage does not have them: the process is killed by
 * SIGSYS, and the plan reports that signal. Access to files and peers is bounded by its capabilities, not here.
 */
#ifndef STAGES_SYSCALLS_H
#define STAGES_SYSCALLS_H

#include <gantry/stage.h>

/*
 * Installs the filter for this process and all it starts; for good. Needs no_new_privs or CAP_SYS_ADMIN. 0 or
 * negative errno.
 */
int syscalls_forbid(enum stage_filter filter);

#endif
