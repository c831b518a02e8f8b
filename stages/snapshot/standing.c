/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements standing.h. Only a directory without a plan of ours is judged by what else it holds. */
#define _GNU_SOURCE
#include "standing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "stages/lib/file.h"

static bool is_empty_directory(int at, const char *name)
{
	_cleanup_(cleanup_closedir) DIR *stream = NULL;
	int fd = directory_open_below(at, name);
	struct dirent *entry;

	if (fd < 0)
		return false;
	stream = fdopendir(fd);
	if (!stream) {
		close(fd);
		return false;
	}
	while ((entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			return false;
	return true;
}

/* Holds it files that a snapshot could collide with or that an operator may want to keep? reason names one. */
static int look_for_others(struct directory *d, bool *ret)
{
	_cleanup_(cleanup_closedir) DIR *stream = NULL;
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		cleanup_close(&fd);
		return directory_fail_errno(d, "reading", "the directory");
	}
	*ret = false;
	while ((entry = readdir(stream))) {
		const char *name = entry->d_name;

		if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, MANIFEST_STATE) ||
		    !strcmp(name, "lost+found") || manifest_is_node_local(name) || is_empty_directory(d->fd, name))
			continue;
		snprintf(d->reason, sizeof(d->reason), "%.200s", name);
		*ret = true;
		break;
	}
	return 0;
}

/* A mark holds while it is that of the manifest beside it. */
static bool mark_holds(struct directory *d, const struct manifest *m)
{
	_cleanup_(cleanup_free) char *mark = NULL;
	char expected[512];
	size_t size;

	if (file_read(d->state_fd, "complete", sizeof(expected), &mark, &size))
		return false;
	return size == directory_format_mark(m, expected, sizeof(expected)) && !memcmp(mark, expected, size);
}

/* What became of a complete snapshot. One that was emptied is fetched again. */
static int look_at_complete(struct directory *d, const struct manifest *m, enum standing *ret)
{
	const char *lacks = whole_lacks(m, d->rules);
	bool others;
	int r;

	if (!lacks && !whole_planned(d->fd, m, d->rules, d->reason)) {
		snprintf(d->reason, sizeof(d->reason), "%s", m->name);
		*ret = STANDING_COMPLETE;
		return 0;
	}
	r = look_for_others(d, &others);
	if (r)
		return r;
	*ret = others ? STANDING_LOST : STANDING_EMPTY;
	if (lacks)
		snprintf(d->reason, sizeof(d->reason), "%.200s was never in it", lacks);
	else
		(void)whole_planned(d->fd, m, d->rules, d->reason);
	return 0;
}

static int look_without_state(struct directory *d, enum standing *ret)
{
	char why[S3_ERROR_MAX];
	bool others;
	int r = look_for_others(d, &others);

	if (r)
		return r;
	*ret = !others ? STANDING_EMPTY : STANDING_POPULATED;
	if (others && whole_found(d->fd, d->rules, why)) {
		*ret = STANDING_HALF;
		memcpy(d->reason, why, sizeof(d->reason));
	}
	return 0;
}

int standing_look(struct directory *d, enum standing *ret)
{
	struct manifest m = { 0 };
	struct stat st;
	bool others;
	int r = directory_open_state(d);

	if (r == -ENOENT)
		return look_without_state(d, ret);
	if (r)
		return r;
	r = directory_load_plan(d, &m);
	if (!r && mark_holds(d, &m)) {
		r = look_at_complete(d, &m, ret);
	} else if (!r && fstatat(d->state_fd, "complete", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		*ret = STANDING_PARTIAL;
	} else {
		/*
		 * Emptied since, or interrupted before there was a plan: begin. Files in it are of unknown origin.
		 */
		r = look_for_others(d, &others);
		if (!r)
			*ret = others ? STANDING_DAMAGED : STANDING_EMPTY;
	}
	manifest_free(&m);
	return r;
}
