/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements parts.h. A part has its full size from the start. */
#define _GNU_SOURCE
#include "parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#define FILE_MODE 0640

bool parts_has_size(int at, const char *name, uint64_t size)
{
	struct stat st;

	return !fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, 33);
}

void parts_drop_stale(struct directory *d, const struct manifest *m)
{
	_cleanup_(cleanup_closedir) DIR *stream = NULL;
	_cleanup_(cleanup_free) char (*names)[33] = m ? calloc(m->count, sizeof(*names)) : NULL;
	int fd = openat(d->parts_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream || (m && !names)) {
		if (!stream)
			cleanup_close(&fd);
		return;
	}
	for (size_t i = 0; m && i < m->count; i++)
		manifest_part_name(&m->files[i], names[i]);
	if (m)
		qsort(names, m->count, sizeof(*names), by_name);
	while ((entry = readdir(stream))) {
		char key[33] = "";

		if (entry->d_name[0] == '.')
			continue;
		snprintf(key, sizeof(key), "%.32s", entry->d_name);
		if (!m || strlen(entry->d_name) != 32 || !bsearch(key, names, m->count, sizeof(*names), by_name))
			(void)unlinkat(d->parts_fd, entry->d_name, 0);
	}
}

int parts_space(struct directory *d, const struct manifest *m, uint64_t *ret_needed, uint64_t *ret_free)
{
	struct statvfs fs;
	uint64_t needed = 0;

	if (fstatvfs(d->fd, &fs) < 0)
		return directory_fail_errno(d, "reading", "free space");
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_file *file = &m->files[i];
		uint64_t here = 0;
		struct stat st;
		char name[33];

		manifest_part_name(file, name);
		if (!fstatat(d->parts_fd, name, &st, AT_SYMLINK_NOFOLLOW))
			here = (uint64_t)st.st_blocks * 512;
		else if (parts_has_size(d->fd, file->path, file->size))
			here = file->size;
		needed += here < file->size ? file->size - here : 0;
	}
	*ret_needed = needed;
	*ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

int parts_open(struct directory *d, const struct manifest *m, uint32_t index)
{
	const struct manifest_file *file = &m->files[index];
	struct stat st;
	char name[33];
	int fd, r = 0;

	manifest_part_name(file, name);
	fd = openat(d->parts_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return directory_fail_errno(d, "opening the partial file of", file->path);
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else if ((uint64_t)st.st_size != file->size || !file->size) {
		/*
		 * All its space at once: it ends up in few pieces, and a full disk shows before the transfer.
		 */
		if ((st.st_uid != geteuid() && fchown(fd, geteuid(), (gid_t)-1) < 0) ||	/* whose mode it is */
		    fchmod(fd, FILE_MODE) < 0 || fchown(fd, d->uid, d->gid) < 0)
			r = -errno;
		else if (file->size && fallocate(fd, 0, 0, (off_t)file->size) < 0)
			r = errno == EOPNOTSUPP ? (ftruncate(fd, (off_t)file->size) < 0 ? -errno : 0) : -errno;
		if (!r && (uint64_t)st.st_size > file->size && ftruncate(fd, (off_t)file->size) < 0)
			r = -errno;
	}
	if (r) {
		close(fd);
		errno = -r;
		return directory_fail_errno(d, "allocating", file->path);
	}
	return fd;
}

/* The directory that a path's last component is in, made on the way; *ret_leaf points into path. */
static int open_parent(struct directory *d, const char *path, const char **ret_leaf)
{
	char component[256];
	int at = dup(d->fd);
	const char *slash;

	while (at >= 0 && (slash = strchr(path, '/'))) {
		int next;

		snprintf(component, sizeof(component), "%.*s", (int)(slash - path), path);
		next = directory_make_below(d, at, component);
		close(at);
		if (next < 0) {
			errno = -next;
			return -1;
		}
		at = next;
		path = slash + 1;
	}
	*ret_leaf = path;
	return at;
}

static int give_name(struct directory *d, struct manifest *m, uint32_t index)
{
	const struct manifest_file *file = &m->files[index];
	_cleanup_(cleanup_close) int parent = -1;
	const char *leaf;
	char name[33];

	manifest_part_name(file, name);
	parent = open_parent(d, file->path, &leaf);
	if (parent < 0)
		return directory_fail_errno(d, "making the directory of", file->path);
	if (!parts_has_size(d->parts_fd, name, file->size)) {
		int fd;

		if (parts_has_size(parent, leaf, file->size))
			return 0;
		if (file->size)
			return directory_fail(d, -ENODATA, "%s: part of %.160s is missing", d->path, file->path);
		fd = parts_open(d, m, index);
		if (fd < 0)
			return fd;
		close(fd);
	}
	if (syscall(SYS_renameat2, d->parts_fd, name, parent, leaf, RENAME_NOREPLACE) < 0)
		return directory_fail_errno(d, "naming", file->path);
	return 0;
}

int parts_finish(struct directory *d, struct manifest *m)
{
	char mark[512], why[S3_ERROR_MAX];
	int r;

	/* Data was synced run by run; this is for sizes, owners and modes. */
	if (syncfs(d->fd) < 0)
		return directory_fail_errno(d, "syncing", "the directory");
	for (uint32_t i = 0; i < m->count; i++) {
		r = give_name(d, m, i);
		if (r)
			return r;
	}
	if (syncfs(d->fd) < 0)
		return directory_fail_errno(d, "syncing", "the directory");
	r = whole_planned(d->fd, m, NULL, why);
	if (r)
		return directory_fail(d, r, "%.100s: %.340s", d->path, why);
	r = directory_replace(d, "complete", mark, directory_format_mark(m, mark, sizeof(mark)));
	if (r)
		return r;
	/* From here on it is complete; leftovers do not matter. */
	parts_drop_stale(d, NULL);
	(void)unlinkat(d->state_fd, "parts", AT_REMOVEDIR);
	(void)unlinkat(d->state_fd, "journal", 0);
	return 0;
}
