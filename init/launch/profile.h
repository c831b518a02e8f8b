/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System call profiles that a service may name. What one refuses fails with EPERM, and the service lives: a library's
 * rare path must not end a program that has run for months.
 */
#ifndef INIT_LAUNCH_PROFILE_H
#define INIT_LAUNCH_PROFILE_H

/*
 * Loads the profile for this process and all it starts, for good. 0; -ENOENT: there is none of this name; or what the
 * kernel says. Needs no_new_privs or CAP_SYS_ADMIN.
 */
int profile_load(const char *name);

#endif
