/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads files of one process in /proc. The kernel answers from memory without blocking, so PID 1's loop may call it. */
#ifndef INIT_LIB_PROCFS_H
#define INIT_LIB_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The beginning of /proc/PID/FILE, as much as fits, with a NUL. False: it cannot be opened, or is empty. */
bool procfs_read(pid_t pid, const char *file, char *ret, size_t size);

#endif
