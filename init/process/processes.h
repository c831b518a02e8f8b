/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every process of the machine, whoever's child and in whatever cgroup it is: for the end of a shutdown, where
 * kill(-1) would take the logger too, and does not say who is left.
 */
#ifndef INIT_PROCESS_PROCESSES_H
#define INIT_PROCESS_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Sends sig (0: nothing) to every process but PID 1, `except` (0: none) and the kernel's own threads. Returns how many
 * there are that have not ended; name gets the one of the first of them, or "". Reads procfs alone: it does not wait.
 */
size_t processes_signal(int sig, pid_t except, char *name, size_t size);

/* The kernel started it by itself, as it does /sbin/poweroff when the host asks for it. */
bool processes_is_kernels(pid_t pid);

#endif
