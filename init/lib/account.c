/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements account.h: passwd(5) and group(5), read line by line. A line whose number is not entirely decimal is
 * skipped: a damaged line never turns a name into uid 0.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/cleanup.h>

#include "account.h"

#define FIELDS_MAX 7

/* Cuts the line at its colons; the number of fields, 0 if there are too many. */
static size_t split(char *line, char *fields[FIELDS_MAX])
{
	size_t n = 0;

	line[strcspn(line, "\n")] = '\0';
	for (char *field; (field = strsep(&line, ":")) != NULL; n++) {
		if (n == FIELDS_MAX)
			return 0;
		fields[n] = field;
	}
	return n;
}

static bool parse_id(const char *text, unsigned *ret)
{
	size_t n = strlen(text);
	unsigned long value;

	if (!n || n > 10 || strspn(text, "0123456789") != n)
		return false;
	value = strtoul(text, NULL, 10);
	if (value >= UINT_MAX)
		return false;
	*ret = (unsigned)value;
	return true;
}

/* Calls each for every line that has n_fields until it returns non-zero, which is then the result; 0 at the end. */
static int for_each_line(const char *path, size_t n_fields, int (*each)(char *fields[], void *arg), void *arg)
{
	_cleanup_(cleanup_fclose) FILE *file = fopen(path, "re");
	_cleanup_(cleanup_free) char *line = NULL;
	size_t room = 0;
	int r = 0;

	if (!file)
		return -errno;
	while (r == 0 && getline(&line, &room, file) >= 0) {
		char *fields[FIELDS_MAX];

		if (split(line, fields) == n_fields)
			r = each(fields, arg);
	}
	return r == 0 && ferror(file) ? -EIO : r;
}

struct search {
	const char *name;
	char *home;		/* or NULL: not wanted */
	char *found;		/* of match_uid() */
	unsigned uid, gid;
	gid_t *gids;
	size_t *n, max;
};

static int match_user(char *fields[], void *arg)
{
	struct search *search = arg;

	if (strcmp(fields[0], search->name) || !parse_id(fields[2], &search->uid) || !parse_id(fields[3], &search->gid))
		return 0;
	if (search->home) {
		if (!fields[5][0] || strlen(fields[5]) >= ACCOUNT_HOME_MAX)
			return -ENAMETOOLONG;
		strcpy(search->home, fields[5]);
	}
	return 1;
}

static int match_uid(char *fields[], void *arg)
{
	struct search *search = arg;
	unsigned uid, gid;

	if (!parse_id(fields[2], &uid) || uid != search->uid || !parse_id(fields[3], &gid) ||
	    strlen(fields[0]) >= ACCOUNT_NAME_MAX)
		return 0;
	strcpy(search->found, fields[0]);
	search->gid = gid;
	return 1;
}

static int match_group(char *fields[], void *arg)
{
	struct search *search = arg;

	return !strcmp(fields[0], search->name) && parse_id(fields[2], &search->gid);
}

static int match_member(char *fields[], void *arg)
{
	struct search *search = arg;
	char *members = fields[3];

	for (char *member; (member = strsep(&members, ",")) != NULL;) {
		if (strcmp(member, search->name) || !parse_id(fields[2], &search->gid))
			continue;
		if (*search->n == search->max)
			return -E2BIG;
		search->gids[(*search->n)++] = search->gid;
		break;
	}
	return 0;
}

int account_user(const char *passwd_path, const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	struct search search = {.name = name};
	int r = for_each_line(passwd_path, 7, match_user, &search);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret_uid = search.uid;
	*ret_gid = search.gid;
	return 0;
}

int account_home(const char *passwd_path, const char *name, char ret[ACCOUNT_HOME_MAX])
{
	char home[ACCOUNT_HOME_MAX];
	struct search search = {.name = name, .home = home};
	int r = for_each_line(passwd_path, 7, match_user, &search);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	strcpy(ret, home);
	return 0;
}

int account_of(const char *passwd_path, uid_t uid, char ret[ACCOUNT_NAME_MAX], gid_t *ret_gid)
{
	struct search search = {.uid = uid, .found = ret};
	int r = for_each_line(passwd_path, 7, match_uid, &search);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret_gid = search.gid;
	return 0;
}

int account_group(const char *group_path, const char *name, gid_t *ret_gid)
{
	struct search search = {.name = name};
	int r = for_each_line(group_path, 4, match_group, &search);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret_gid = search.gid;
	return 0;
}

int account_memberships(const char *group_path, const char *user, gid_t *gids, size_t *n, size_t max)
{
	struct search search = {.name = user, .gids = gids, .n = n, .max = max};

	return for_each_line(group_path, 4, match_member, &search);
}
