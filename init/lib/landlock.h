/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Landlock (landlock(7)) for roles that need almost nothing: at most one directory and one port. */
#ifndef INIT_LIB_LANDLOCK_H
#define INIT_LIB_LANDLOCK_H

#include <stdint.h>

/*
 * From here on this thread and all that it starts opens no file, but with `rights` (LANDLOCK_ACCESS_FS_...) below the
 * directory, -1: none; and uses no TCP port, but may bind `port`, -1: none. Needs no_new_privs. 0, also where the
 * kernel has no landlock or an older one that knows less: user, root and seccomp filter remain; or negative errno.
 */
int landlock_restrict(int directory, uint64_t rights, int port);

#endif
