/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements directory.h. */
#define _GNU_SOURCE
#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "init/lib/hex.h"
#include "stages/lib/file.h"

#define DIRECTORY_MODE 0750

int directory_fail(struct directory *d, int result, const char *fmt, ...)
{
	va_list arguments;

	va_start(arguments, fmt);
	vsnprintf(d->reason, sizeof(d->reason), fmt, arguments);
	va_end(arguments);
	return result;
}

int directory_fail_errno(struct directory *d, const char *doing, const char *what)
{
	int r = -errno;

	return directory_fail(d, r, "%s: %s %.160s: %s", d->path, doing, what, strerror(-r));
}

int directory_open_below(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int directory_make_below(const struct directory *d, int at, const char *name)
{
	int fd, made = mkdirat(at, name, DIRECTORY_MODE);

	if (made < 0 && errno != EEXIST)
		return -errno;
	fd = directory_open_below(at, name);
	if (fd < 0)
		return -errno;
	if (!made && (fchmod(fd, DIRECTORY_MODE) < 0 || fchown(fd, d->uid, d->gid) < 0)) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int directory_open(struct directory *d, const char *path, uid_t uid, gid_t gid, const struct whole_rules *rules)
{
	*d = (struct directory)DIRECTORY_CLOSED;
	d->path = path;
	d->uid = uid;
	d->gid = gid;
	d->rules = rules;
	d->fd = directory_make_below(d, AT_FDCWD, path);
	if (d->fd < 0) {
		errno = -d->fd;
		d->fd = -1;
		return directory_fail_errno(d, "opening", "the directory");
	}
	return 0;
}

void directory_close(struct directory *d)
{
	cleanup_close(&d->journal_fd);
	cleanup_close(&d->parts_fd);
	cleanup_close(&d->state_fd);
	cleanup_close(&d->fd);
	d->fd = d->state_fd = d->parts_fd = d->journal_fd = -1;
}

/*
 * The owner of DIRECTORY could replace the state folder: one that another user owns or can write to is not trusted.
 */
int directory_open_state(struct directory *d)
{
	struct stat st, here;

	if (d->state_fd >= 0)
		return 0;
	d->state_fd = directory_open_below(d->fd, MANIFEST_STATE);
	if (d->state_fd < 0)
		return errno == ENOENT ? -ENOENT : directory_fail_errno(d, "opening", MANIFEST_STATE);
	if (fstat(d->state_fd, &st) < 0 || fstat(d->fd, &here) < 0)
		return directory_fail_errno(d, "reading", MANIFEST_STATE);
	if ((st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & 022)
		return directory_fail(d, -EPERM, "%s/%s is owned or writable by another user", d->path, MANIFEST_STATE);
	if (st.st_dev != here.st_dev)
		return directory_fail(d, -EXDEV, "%s/%s is another file system", d->path, MANIFEST_STATE);
	d->parts_fd = directory_open_below(d->state_fd, "parts");
	return 0;
}

int directory_make_state(struct directory *d)
{
	int r = directory_open_state(d);

	if (r == -ENOENT) {
		if (mkdirat(d->fd, MANIFEST_STATE, 0700) < 0)
			return directory_fail_errno(d, "making", MANIFEST_STATE);
		r = directory_open_state(d);
		if (r == 0 && d->uid != (uid_t)-1 && fchown(d->state_fd, 0, 0) < 0)	/* nor do workers get in */
			r = directory_fail_errno(d, "making", MANIFEST_STATE);
	}
	if (r)
		return r;
	if (d->parts_fd < 0) {
		if (mkdirat(d->state_fd, "parts", 0700) < 0 && errno != EEXIST)
			return directory_fail_errno(d, "making", "parts");
		d->parts_fd = directory_open_below(d->state_fd, "parts");
	}
	return d->parts_fd < 0 ? directory_fail_errno(d, "opening", "parts") : 0;
}

int directory_replace(struct directory *d, const char *name, const char *bytes, size_t size)
{
	int r = file_replace(d->state_fd, name, bytes, size, 0600);

	if (!r)
		return 0;
	errno = -r;
	return directory_fail_errno(d, "writing", name);
}

size_t directory_format_mark(const struct manifest *m, char *ret, size_t room)
{
	char hash[HEX_SIZE(MANIFEST_HASH_SIZE)];

	hex_encode(m->hash, MANIFEST_HASH_SIZE, hash);
	return (size_t)snprintf(ret, room, "gantry-snapshot-complete 1\nname %s\nmanifest %s\nfiles %zu\n"
				"bytes %" PRIu64 "\n", m->name, hash, m->count, m->total);
}

int directory_load_plan(struct directory *d, struct manifest *ret)
{
	_cleanup_(cleanup_free) char *text = NULL;
	char reason[S3_ERROR_MAX];
	size_t size;
	int r;

	r = file_read(d->state_fd, "manifest", MANIFEST_SIZE_MAX, &text, &size);
	return r ? r : manifest_parse(text, size, ret, reason);
}
