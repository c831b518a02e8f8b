/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a service's log back (docs/logs.md): its newest lines, across as many of its files as they are in, also while
 * it is written to and rotated. The files are read as what a stranger may have written: clean text comes out.
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

/* Opens what is there, in a directory of this descriptor. 0, -ENOENT: there is no log, or another negative errno. */
int logback_open(struct logback *log, int directory, const char *name);

/* Writes the newest lines to out, oldest first. 0 or negative errno. */
int logback_write(const struct logback *log, uint64_t lines, FILE *out);

/* Copies what is in fd from *at on, and moves it. 0 or negative errno. */
int logback_copy(int fd, off_t *at, off_t end, FILE *out);

void logback_close(struct logback *log);

#endif
