/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Users and groups from /etc/passwd and /etc/group of the measured image only, independent of the libc and its NSS. */
#ifndef INIT_LIB_ACCOUNT_H
#define INIT_LIB_ACCOUNT_H

#include <stddef.h>
#include <sys/types.h>

/* 0; -ENOENT: no such name; or the negative errno of reading the file. Malformed lines are skipped. */
int account_user(const char *passwd_path, const char *name, uid_t *ret_uid, gid_t *ret_gid);

/* The user's home directory; -ENAMETOOLONG: longer than that, or empty. */
#define ACCOUNT_HOME_MAX 128
int account_home(const char *passwd_path, const char *name, char ret[ACCOUNT_HOME_MAX]);

/* The first user of that number: its name and group. */
#define ACCOUNT_NAME_MAX 64
int account_of(const char *passwd_path, uid_t uid, char ret[ACCOUNT_NAME_MAX], gid_t *ret_gid);

int account_group(const char *group_path, const char *name, gid_t *ret_gid);

/* Appends the groups that list the user as a member to gids[*n..max); -E2BIG if there are more. */
int account_memberships(const char *group_path, const char *user, gid_t *gids, size_t *n, size_t max);

#endif
