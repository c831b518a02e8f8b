/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls of each stage's process. An attacker who runs code in a stage has no others: most fail, and those
 * that only an intruder would make end the process by SIGSYS, which the plan reports.
 */
#ifndef STAGES_SYSCALLS_H
#define STAGES_SYSCALLS_H

/*
 * Installs the filter of `calls` (enum stage_calls) for this process and all it starts; for good. Needs no_new_privs
 * or CAP_SYS_ADMIN. 0 or negative errno.
 */
int syscalls_restrict(unsigned calls);

#endif
