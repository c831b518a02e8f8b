/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements mounts.h; the format is proc_pid_mountinfo(5). */
#define _GNU_SOURCE
#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/cleanup.h>

void mounts_unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
		    from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* "ID PARENT MAJOR:MINOR ROOT PATH OPTIONS [FIELDS ...] - TYPE SOURCE OPTIONS"; the line is taken apart. */
static bool parse(char *line, struct mount *ret)
{
	char *rest = NULL, *word = strtok_r(line, " \n", &rest);

	for (int i = 0; word && i < 4; i++)
		word = strtok_r(NULL, " \n", &rest);
	if (!word)
		return false;
	ret->path = word;
	while (word && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " \n", &rest);
	word = word ? strtok_r(NULL, " \n", &rest) : NULL;
	ret->fuse = word && (!strcmp(word, "fuse") || !strncmp(word, "fuse.", 5) || !strcmp(word, "fuseblk"));
	mounts_unescape(ret->path);
	return true;
}

int mounts_read(struct mounts *ret)
{
	_cleanup_(cleanup_fclose) FILE *file = fopen("/proc/self/mountinfo", "re");
	_cleanup_(cleanup_free) char *line = NULL;
	size_t room = 0;

	*ret = (struct mounts){0};
	if (!file)
		return -errno;
	while (getline(&line, &room, file) > 0) {
		struct mount found, *more;

		if (!parse(line, &found))
			continue;
		found.path = strdup(found.path);
		more = found.path ? realloc(ret->list, (ret->n + 1) * sizeof(*more)) : NULL;
		if (!more) {
			free(found.path);
			return -ENOMEM;
		}
		ret->list = more;
		ret->list[ret->n++] = found;
	}
	return 0;
}

void mounts_free(struct mounts *mounts)
{
	for (size_t i = 0; i < mounts->n; i++)
		free(mounts->list[i].path);
	free(mounts->list);
	*mounts = (struct mounts){0};
}
