/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements io.h. */
#include <errno.h>
#include <unistd.h>

#include "io.h"

int io_write(int fd, const void *bytes, size_t size)
{
	for (const char *at = bytes; size;) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}
