/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements parts.h. A crash between parts_keep() and the rename that overwrites the older part leaves its kept events
 * in both files: log_kept_end() finds that by the first of them, for parts_keep() as for readers.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "init/lib/io.h"
#include "init/show/logline.h"
#include "parts.h"

#define SHORT_NAME "events.log.new"	/* while a file is being shortened */

static char buffer[64 * 1024];

/* Copies a file from the first whole line at or after `at`. 0 or negative errno. */
static int copy_from(int from, off_t at, int to)
{
	bool begun = false;
	ssize_t n;

	while ((n = pread(from, buffer, sizeof(buffer), at)) > 0) {
		const char *newline = begun ? NULL : memchr(buffer, '\n', (size_t)n);
		size_t skip = begun ? 0 : newline ? (size_t)(newline + 1 - buffer) : (size_t)n;
		int r = io_write(to, buffer + skip, (size_t)n - skip);

		if (r < 0)
			return r;
		begun = true;
		at += n;
	}
	return n < 0 || fsync(to) < 0 ? -errno : 0;
}

int parts_shorten(int directory, const char *name, int64_t limit, int64_t rest)
{
	_cleanup_(cleanup_close) int from = openat(directory, name, PARTS_READ_FLAGS);
	_cleanup_(cleanup_close) int to = -1;
	struct stat st;
	int r;

	unlinkat(directory, SHORT_NAME, 0);
	if (from < 0 || fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= limit)
		return 0;
	to = openat(directory, SHORT_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	r = to < 0 ? -errno : copy_from(from, st.st_size - rest, to);
	if (r == 0 && renameat(directory, SHORT_NAME, directory, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(directory, SHORT_NAME, 0);
	return r;
}

/* 0 with its size, or negative errno. */
static int regular(int fd, int64_t *ret_size)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret_size = st.st_size;
	return S_ISREG(st.st_mode) ? 0 : -ENXIO;
}

/* The file of kept events, with its size; -ENOENT: there is none yet. */
static int open_kept(int directory, int create, int64_t *ret_size)
{
	int fd = openat(directory, LOG_KEPT_NAME, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | create,
			0640);
	int r = regular(fd, ret_size);

	if (r == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return r;
}

struct appending {
	int directory;
	int fd;			/* -1: no file yet */
	struct log_boot last;	/* the last boot line in it */
	size_t boot_size;	/* of the boot line that is to be written before the next event; 0: none */
	char boot_line[512];
};

static void take_boot(struct appending *to, const struct log_boot *boot, const char *line, size_t size)
{
	to->boot_size = 0;
	if (strcmp(boot->id, to->last.id) == 0 || size >= sizeof(to->boot_line))
		return;
	memcpy(to->boot_line, line, size);
	to->boot_line[size] = '\n';
	to->boot_size = size + 1;
}

/* line: with its newline. */
static int take_event(struct appending *to, const struct log_boot *boot, const char *line, size_t size)
{
	int64_t unused;
	int r;

	if (to->fd < 0)
		to->fd = open_kept(to->directory, O_CREAT, &unused);
	if (to->fd < 0)
		return to->fd;
	r = io_write(to->fd, to->boot_line, to->boot_size);
	if (r == 0 && to->boot_size > 0)
		to->last = *boot;
	to->boot_size = 0;
	return r < 0 ? r : io_write(to->fd, line, size);
}

/* Appends the kept events of a part, and before the first of each boot its boot line. 0 or negative errno. */
static int append(int from, int64_t end, struct appending *to)
{
	_cleanup_(cleanup_free) struct log_lines *lines = malloc(sizeof(*lines));
	struct log_boot boot = {0};
	const char *line;
	size_t size;
	int r;

	if (!lines)
		return -ENOMEM;
	log_lines_begin(lines, from, end);
	while ((r = log_lines_next(lines, &line, &size)) > 0) {
		if (log_line_boot(&boot, line, size) == 0)
			take_boot(to, &boot, line, size);
		else if (log_line_kept(line, size))
			r = take_event(to, &boot, line, size + 1);
		if (r < 0)
			return r;
	}
	return r;
}

static int keep(struct appending *to, int older, int64_t older_size)
{
	int64_t size = 0, end;
	int r;

	to->fd = open_kept(to->directory, 0, &size);
	if (to->fd < 0 && to->fd != -ENOENT)
		return to->fd;
	end = log_kept_end(to->fd, size, older, older_size, &to->last);
	if (end < 0)
		return (int)end;
	if (end < size && ftruncate(to->fd, end) < 0)
		return -errno;
	r = append(older, older_size, to);
	if (r < 0 || to->fd < 0)
		return r;
	return fsync(to->fd) < 0 || fsync(to->directory) < 0 ? -errno : 0;
}

int parts_keep(int directory, int64_t limit)
{
	_cleanup_(cleanup_close) int older = openat(directory, LOG_OLD_NAME, PARTS_READ_FLAGS);
	struct appending to = {.directory = directory, .fd = -1};
	int64_t size;
	int r = regular(older, &size);

	if (r < 0)
		return r == -ENOENT || r == -ENXIO ? 0 : r;
	r = keep(&to, older, size);
	if (to.fd >= 0)
		close(to.fd);
	if (r < 0)
		return r;
	r = parts_shorten(directory, LOG_KEPT_NAME, limit, limit / 4 * 3);
	return r == -ENOSPC || r == -EDQUOT ? 0 : r;	/* shortened the next time */
}
