/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements procfs.h. A file is opened for each call, because pids are reused. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "procfs.h"

bool procfs_read(pid_t pid, const char *file, char *ret, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, ret, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	ret[n] = '\0';
	return true;
}
