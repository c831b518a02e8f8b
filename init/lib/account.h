/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users and groups as /etc/passwd and /etc/group of the measured image say; nothing else is asked, in
 * whatever libc.
 */
#ifndef INIT_LIB_ACCOUNT_H
#define INIT_LIB_ACCOUNT_H

#include <stddef.h>
#include <sys/types.h>

/* 0; -ENOENT: no such name; or what reading the file says. A malformed line is as if it were not there. */
int account_user(const char *passwd_path, const char *name, uid_t *ret_uid, gid_t *ret_gid);
int account_group(const char *group_path, const char *name, gid_t *ret_gid);

/* Adds the groups that list the user as a member to gids[*n..max); those beyond max make it -E2BIG. */
int account_memberships(const char *group_path, const char *user, gid_t *gids, size_t *n, size_t max);

#endif
