/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements whole.h. Symlinks are followed: nothing is opened but directories, and an operator may have moved a file
 * to another disk.
 */
#define _GNU_SOURCE
#include "whole.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "reth.h"
#include "stages/lib/printable.h"

#define ENTRIES_MAX 1000000u	/* looked at in a directory that somebody else has filled */

static int refuse(char *reason, const char *path, const char *objection)
{
	char shown[161];

	printable_copy(path, shown, sizeof(shown));
	snprintf(reason, S3_ERROR_MAX, "%s %s", shown, objection);
	return -ENODATA;
}

const char *whole_lacks(const struct manifest *m, const struct whole_rules *rules)
{
	for (size_t i = 0; i < rules->n_required; i++)
		if (!manifest_find(m, rules->required[i]))
			return rules->required[i];
	return NULL;
}

static bool is_required(const struct whole_rules *rules, const char *path)
{
	for (size_t i = 0; i < rules->n_required; i++)
		if (!strcmp(rules->required[i], path))
			return true;
	return false;
}

static bool is_changed(const struct whole_rules *rules, const char *path)
{
	for (size_t i = 0; i < rules->n_changes; i++)
		if (!fnmatch(rules->changes[i], path, 0))
			return true;
	return false;
}

/* May the file be as it is: absent (size NULL), or with another size than planned? */
static bool allowed(const struct whole_rules *rules, const struct reth_segments *segments,
		    const struct manifest_file *file, const uint64_t *size)
{
	bool required, changed;

	if (!rules)
		return false;
	required = is_required(rules, file->path);
	changed = is_changed(rules, file->path);
	if (!size)
		return !required && (changed || reth_deletes(segments, file->path));
	return changed || (required && *size > file->size) || reth_writes(segments, file->path);
}

int whole_planned(int directory, const struct manifest *m, const struct whole_rules *rules,
		  char reason[static S3_ERROR_MAX])
{
	struct reth_segments segments = { .count = 0 };
	size_t wrong = 0;

	for (size_t i = 0; rules && i < m->count; i++)
		reth_plan(&segments, m->files[i].path);
	if (rules)
		reth_look(&segments, directory);
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_file *file = &m->files[i];
		struct stat st;
		bool there = !fstatat(directory, file->path, &st, 0) && S_ISREG(st.st_mode);
		uint64_t size = there ? (uint64_t)st.st_size : 0;
		char objection[96] = "is missing";

		if ((there && size == file->size) || allowed(rules, &segments, file, there ? &size : NULL) || wrong++)
			continue;
		if (there)
			snprintf(objection, sizeof(objection), "has %" PRIu64 " bytes instead of %" PRIu64, size,
				 file->size);
		(void)refuse(reason, file->path, objection);
	}
	if (wrong > 1) {
		size_t n = strlen(reason);

		snprintf(reason + n, S3_ERROR_MAX - n, ", and %zu more files are not as in the snapshot", wrong - 1);
	}
	return wrong ? -ENODATA : 0;
}

static bool ends_with(const char *name, const char *ending)
{
	size_t n = strlen(name), e = strlen(ending);

	return n > e && !strcmp(name + n - e, ending);
}

/* What rclone and `reth download` have not finished is under such a name. */
static int look_for_halves(int at, unsigned depth, unsigned *left, char *reason)
{
	_cleanup_(cleanup_closedir) DIR *stream = fdopendir(at);
	struct dirent *entry;
	int r = 0;

	if (!stream) {
		close(at);
		return 0;
	}
	while (!r && (entry = readdir(stream))) {
		const char *name = entry->d_name;
		int below;

		if (!strcmp(name, ".") || !strcmp(name, "..") || !*left)
			continue;
		--*left;
		if (ends_with(name, ".partial") || ends_with(name, ".part"))
			return refuse(reason, name, "is a download that did not end");
		if (depth == MANIFEST_DEPTH_MAX || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		below = openat(dirfd(stream), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = below < 0 ? 0 : look_for_halves(below, depth + 1, left, reason);
	}
	return r;
}

int whole_found(int directory, const struct whole_rules *rules, char reason[static S3_ERROR_MAX])
{
	unsigned left = ENTRIES_MAX;
	int fd;

	for (size_t i = 0; i < rules->n_required; i++) {
		struct stat st;

		if (fstatat(directory, rules->required[i], &st, 0) < 0 || !S_ISREG(st.st_mode))
			return refuse(reason, rules->required[i], "is missing");
		if (!st.st_size)
			return refuse(reason, rules->required[i], "is empty");
	}
	fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? refuse(reason, "it", "cannot be read") : look_for_halves(fd, 0, &left, reason);
}
