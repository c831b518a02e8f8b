/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements file.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

#define NAME_MAX_ (NODE_NAME_MAX + 16)

static void name_of(const struct logfile *file, unsigned age, char *out)
{
	if (age == 0)
		snprintf(out, NAME_MAX_, "%s.log", file->name);
	else
		snprintf(out, NAME_MAX_, "%s.log.%u", file->name, age);
}

/* Removes files of an earlier configuration that kept more. */
static void remove_surplus(const struct logfile *file, int directory)
{
	char name[NAME_MAX_];

	for (unsigned age = file->files; age <= LOGFILE_FILES_MAX; age++) {
		name_of(file, age, name);
		unlinkat(directory, name, 0);
	}
}

/* After a power cut or a kill the last line may be torn: ends it, so that the next one begins on a line of its own. */
static int end_torn_line(struct logfile *file)
{
	char last = '\n';

	if (file->size > 0 && pread(file->fd, &last, 1, file->size - 1) == 1 && last != '\n') {
		if (write(file->fd, "\n", 1) != 1)
			return errno ? -errno : -EIO;
		file->size++;
	}
	return 0;
}

static int open_file(struct logfile *file, int directory)
{
	char name[NAME_MAX_];
	struct stat st;
	int fd, r = 0;

	name_of(file, 0, name);
	fd = openat(directory, name, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		r = -ENXIO;
	if (r < 0) {
		close(fd);
		return r;
	}
	file->fd = fd;
	file->size = st.st_size;
	file->within = false;
	r = end_torn_line(file);
	if (r < 0) {	/* it is tried again, and no line is written behind the torn one before that */
		close(fd);
		file->fd = -1;
	}
	return r;
}

/* Somebody removed it, or its folder: what is written to it would be gone. */
static void leave_removed(struct logfile *file)
{
	struct stat st;

	if (file->fd < 0 || fstat(file->fd, &st) < 0 || st.st_nlink > 0)
		return;
	close(file->fd);
	file->fd = -1;
}

static int rotate(struct logfile *file, int directory)
{
	char from[NAME_MAX_], to[NAME_MAX_];

	for (unsigned age = file->files - 1; age > 0; age--) {
		name_of(file, age - 1, from);
		name_of(file, age, to);
		if (renameat(directory, from, directory, to) < 0 && errno != ENOENT)
			return -errno;
	}
	close(file->fd);
	file->fd = -1;
	return open_file(file, directory);
}

static int write_all(struct logfile *file, const char *bytes, size_t size, size_t *written)
{
	while (*written < size) {
		ssize_t n = write(file->fd, bytes + *written, size - *written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*written += (size_t)n;
		file->size += n;
		file->within = bytes[*written - 1] != '\n';
		file->dirty = true;
	}
	return 0;
}

int logfile_write(struct logfile *file, int directory, const char *lines, size_t size, size_t *ret_written)
{
	int r = 0;

	*ret_written = 0;
	leave_removed(file);
	if (file->fd < 0) {
		remove_surplus(file, directory);
		r = open_file(file, directory);
	}
	if (r == 0 && !file->within && file->size > 0 && file->size + (int64_t)size > file->max_bytes)
		r = rotate(file, directory);
	return r < 0 ? r : write_all(file, lines, size, ret_written);
}

int logfile_close(struct logfile *file)
{
	int r;

	if (file->fd < 0)
		return 0;
	r = file->dirty && fdatasync(file->fd) < 0 ? -errno : 0;
	close(file->fd);
	file->fd = -1;
	file->dirty = false;
	return r;
}

int logfile_directory(const char *path, mode_t above)
{
	char copy[PATH_MAX];
	int fd;

	if (strlen(path) >= sizeof(copy))
		return -ENAMETOOLONG;
	strcpy(copy, path);
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, above) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(copy, 0750) < 0 && errno != EEXIST)
		return -errno;
	fd = open(copy, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int logfile_directory_of(const char *path, uint32_t uid, uint32_t gid)
{
	int fd = logfile_directory(path, 0755), r;

	if (fd < 0)
		return fd;
	/* Set-group-ID: new files belong to the group, though the role is not a member. */
	if (geteuid() == 0 && (fchown(fd, uid, gid) < 0 || fchmod(fd, 02750) < 0)) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}
