/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving up privileges, one step each: user, capabilities, new privileges. The order is the caller's: the bounding set
 * before the user, the kept capabilities after it. Everything here is of the calling thread alone, so it comes before
 * any other thread. Each returns 0 or negative errno; after an error the process must not go on.
 */
#ifndef INIT_LIB_PRIVILEGE_H
#define INIT_LIB_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Exactly these supplementary groups, then the group, then the user; for good. */
int privilege_user(uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups);

/* No program that is executed from here on gains any. */
int privilege_no_new(void);

/* Sets of capabilities: bit c is capability c. */
int capabilities_get(uint64_t *ret_permitted, uint64_t *ret_effective);

/* Whether the bounding set has all of these. -EINVAL: the kernel does not know one; -EPERM: one is gone. */
int capabilities_check(uint64_t wanted);

/* Drops all others from the bounding set; needs CAP_SETPCAP. */
int capabilities_bound(uint64_t kept);

/*
 * For a role of root that executes nothing: it has these at most, gains no others, and no new privileges. A caller
 * without CAP_SETPCAP keeps its bounding set, which gives nothing back then.
 */
int privilege_bound(uint64_t kept);

/*
 * Exactly these are permitted and effective. With `ambient`, a program that is executed gets them, too, whatever its
 * user; else root gets those of the bounding set, and another user none.
 */
int capabilities_keep(uint64_t kept, bool ambient);

#endif
