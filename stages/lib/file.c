/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order in file_replace() is the point: content on the disk before the name leads to it, and the name on the disk
 * before the call returns.
 */
#define _GNU_SOURCE
#include "file.h"
#include "init/lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

int file_read(int directory, const char *name, size_t maximum, char **ret, size_t *ret_size)
{
	_cleanup_(cleanup_close) int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *bytes;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size < 0 || (uint64_t)st.st_size > maximum)
		return -EFBIG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	r = file_read_at(fd, bytes, (size_t)st.st_size, 0);
	if (r < 0) {
		free(bytes);
		return r;
	}
	bytes[st.st_size] = '\0';
	*ret = bytes;
	*ret_size = (size_t)st.st_size;
	return 0;
}

int file_read_line(const char *path, char *ret, size_t size)
{
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

int file_write_at(int fd, const void *bytes, size_t size, uint64_t offset)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int file_read_at(int fd, void *bytes, size_t size, uint64_t offset)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int file_replace(int directory, const char *name, const char *bytes, size_t size, mode_t mode)
{
	_cleanup_(cleanup_close) int fd = -1;
	char new[FILE_NAME_SIZE_MAX + 5];
	int r = snprintf(new, sizeof(new), "%s.new", name);

	if (r < 0 || (size_t)r >= sizeof(new))
		return -ENAMETOOLONG;
	fd = openat(directory, new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = io_write(fd, bytes, size);
	if (!r && fsync(fd) < 0)
		r = -errno;
	if (!r && renameat(directory, new, directory, name) < 0)
		r = -errno;
	if (!r && fsync(directory) < 0)
		r = -errno;
	return r;
}
