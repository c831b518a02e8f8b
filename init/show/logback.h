/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the newest lines of a service's log (docs/logs.md) across its rotated files, also while it is written and
 * rotated. The files are untrusted: the output is cleaned to valid UTF-8 without control characters.
 */
#ifndef INIT_SHOW_LOGBACK_H
#define INIT_SHOW_LOGBACK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define LOGBACK_FILES 100
#define LOGBACK_LINES_MAX 100000

struct logback {
	struct {
		int fd;
		off_t size;		/* when it was opened */
	} files[LOGBACK_FILES];		/* the newest first */
	size_t n;
};

/* Opens all files of the log in this directory. 0, -ENOENT: no log, or another negative errno. */
int logback_open(struct logback *log, int directory, const char *name);

/* Writes the newest lines to out, oldest first. 0 or negative errno. */
int logback_write(const struct logback *log, uint64_t lines, FILE *out);

/* Copies fd from *at to end, and advances *at. 0 or negative errno. */
int logback_copy(int fd, off_t *at, off_t end, FILE *out);

void logback_close(struct logback *log);

#endif
