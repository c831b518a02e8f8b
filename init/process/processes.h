/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals every process of the machine, in any cgroup: for the end of a shutdown, where kill(-1) would also signal the
 * logger and does not report how many processes are left.
 */
#ifndef INIT_PROCESS_PROCESSES_H
#define INIT_PROCESS_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Sends sig (0: none) to every process but PID 1, the relay, `except` (0: none) and kernel threads. Returns the number
 * of those processes that are not zombies; name gets the first one's name, or "". Reads only procfs stat files: does
 * not block.
 */
size_t processes_signal(int sig, pid_t except, char *name, size_t size);

/* Whether the kernel started it, as it does /sbin/poweroff when the host requests a shutdown. */
bool processes_is_kernels(pid_t pid);

#endif
