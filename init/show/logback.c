/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements logback.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/lib/utf8.h"
#include "logback.h"

#define BLOCK 16384

/* After a rotation this may be the file that was opened before: it is not taken twice. False with errno: none. */
static bool open_one(struct logback *log, int directory, const char *file, struct stat *last)
{
	int fd = openat(directory, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		errno = ENXIO;
		return false;
	}
	if (log->n > 0 && st.st_ino == last->st_ino) {
		close(fd);
		return true;
	}
	*last = st;
	log->files[log->n].fd = fd;
	log->files[log->n].size = st.st_size;
	log->n++;
	return true;
}

int logback_open(struct logback *log, int directory, const char *name)
{
	char file[300];
	struct stat last;

	log->n = 0;
	snprintf(file, sizeof(file), "%s.log", name);
	if (!open_one(log, directory, file, &last) && errno != ENOENT)
		return -errno;
	for (unsigned age = 1; age < LOGBACK_FILES; age++) {
		snprintf(file, sizeof(file), "%s.log.%u", name, age);
		if (!open_one(log, directory, file, &last))
			break;
	}
	return log->n > 0 ? 0 : -ENOENT;
}

/* The offset of the newest *lines lines of a file; subtracts those found from *lines. */
static off_t start_of(int fd, off_t size, uint64_t *lines)
{
	char block[BLOCK];
	off_t at = size;

	while (at > 0) {
		size_t n = at < BLOCK ? (size_t)at : BLOCK;

		at -= (off_t)n;
		if (pread(fd, block, n, at) != (ssize_t)n)
			return at + (off_t)n;
		for (size_t i = n; i-- > 0;)
			if (block[i] == '\n' && at + (off_t)i + 1 < size && --*lines == 0)
				return at + (off_t)i + 1;
	}
	if (size > 0)
		--*lines;
	return 0;
}

int logback_copy(int fd, off_t *at, off_t end, FILE *out)
{
	char block[BLOCK], clean[3 * BLOCK];

	while (*at < end) {
		size_t want = end - *at < BLOCK ? (size_t)(end - *at) : BLOCK;
		ssize_t n = pread(fd, block, want, *at);
		const char *newline;
		size_t size, whole;

		if (n <= 0)
			return n < 0 ? -errno : 0;
		newline = memchr(block, '\n', (size_t)n);
		whole = newline ? (size_t)(newline - block) : (size_t)n;
		for (size_t i = 0; !newline && n == BLOCK && i < 3 && ((unsigned char)block[whole - 1] & 0x80); i++)
			whole--;	/* not within a character */
		size = utf8_clean(clean, sizeof(clean), block, whole);
		if (fwrite(clean, 1, size, out) != size || (newline && fputc('\n', out) == EOF))
			return -EPIPE;
		*at += (off_t)whole + (newline != NULL);
	}
	return 0;
}

int logback_write(const struct logback *log, uint64_t lines, FILE *out)
{
	off_t begin = 0;
	size_t oldest = 0;
	int r = 0;

	for (oldest = 0; oldest < log->n && lines > 0; oldest++)
		begin = start_of(log->files[oldest].fd, log->files[oldest].size, &lines);
	while (r == 0 && oldest-- > 0) {
		r = logback_copy(log->files[oldest].fd, &begin, log->files[oldest].size, out);
		begin = 0;
	}
	return r == 0 && fflush(out) == EOF ? -EPIPE : r;
}

void logback_close(struct logback *log)
{
	while (log->n > 0)
		close(log->files[--log->n].fd);
}
