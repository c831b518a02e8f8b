/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What procfs says of one process. The kernel answers from memory, at once and in one piece, so PID 1 may ask in its
 * loop.
 */
#ifndef INIT_LIB_PROCFS_H
#define INIT_LIB_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * What /proc/PID/FILE begins with, as much as fits, and a NUL. False: there is no such process, no descriptor to be had
 * now, or nothing in it.
 */
bool procfs_read(pid_t pid, const char *file, char *ret, size_t size);

#endif
