/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last lines of a service, in shared memory that the role service-log writes and PID 1 reads: a line costs PID 1
 * nothing, and the lines survive a crash of the role. PID 1 does not trust them: it copies, checks and cleans.
 */
#ifndef INIT_LIB_LOGTAIL_H
#define INIT_LIB_LOGTAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGTAIL_LINES     20
#define LOGTAIL_LINE_MAX  512	/* bytes of one */
#define LOGTAIL_SIZE      4096
#define LOGTAIL_BYTES_MAX (LOGTAIL_SIZE - 32)

struct logtail {
	uint32_t turn;		/* odd while it is being written */
	uint32_t size;		/* bytes used */
	uint64_t lines;		/* ever added */
	uint64_t dropped;	/* lines that no file has */
	uint64_t kept;		/* number of lines in bytes; for the writer only, the reader counts them */
	char bytes[LOGTAIL_BYTES_MAX];	/* the lines, oldest first, each ended by NUL */
};

_Static_assert(sizeof(struct logtail) == LOGTAIL_SIZE, "a page each");

/* Adds a line, cut to LOGTAIL_LINE_MAX; evicts the oldest lines. text: cleaned (utf8.h), not empty. */
void logtail_add(struct logtail *tail, const char *text, size_t size);

/* Makes a checked copy: at most LOGTAIL_LINES whole, cleaned lines, each ended by NUL. Never waits. */
void logtail_read(const struct logtail *tail, struct logtail *ret);

/* The newest line of such a copy, or NULL. */
const char *logtail_last(const struct logtail *copy);

#endif
