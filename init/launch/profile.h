/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System call profiles for services (`seccomp`). A refused call fails with EPERM and does not kill the service: a rare
 * path of a library must not end a program that has run for months.
 */
#ifndef INIT_LAUNCH_PROFILE_H
#define INIT_LAUNCH_PROFILE_H

/*
 * Loads the profile for this process and its descendants, for good. 0; -ENOENT: no profile has this name; or another
 * negative errno. Needs no_new_privs or CAP_SYS_ADMIN.
 */
int profile_load(const char *name);

/*
 * Of other processes, no limit is set with prlimit(2), which asks for no capability. For good. 0 or negative errno.
 * Needs the same.
 */
int profile_own_limits(void);

#endif
