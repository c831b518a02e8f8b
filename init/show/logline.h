/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the persistent log (docs/events.md). The files lie on a disk that was taken away and brought back, torn by
 * power cuts or filled by others, so nothing in them is believed: memory is bounded by one line, and a line counts
 * only if it is exactly what the logger would have written.
 */
#ifndef INIT_SHOW_LOGLINE_H
#define INIT_SHOW_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/eventtext.h"

#define LOG_LINE_MAX    EVENT_JSON_MAX	/* bytes, without newline */
#define LOG_BOOT_ID_MAX 40		/* bytes, NUL included */

/* A cursor over the lines of a regular file from its first byte up to `end`; the descriptor's own offset stays. */
struct log_lines {
	int fd;			/* -1: no lines */
	int64_t at, end;	/* next byte to read from the file */
	size_t used, done;	/* of bytes */
	char bytes[2 * LOG_LINE_MAX];
};

/* The line that begins a boot, or a file in the middle of one. */
struct log_boot {
	char id[LOG_BOOT_ID_MAX];
	bool continued;		/* what came before is in the file before */
};

/* The running boot's id, as the kernel made it; "unknown" where it does not say. */
void log_boot_id(char ret[LOG_BOOT_ID_MAX]);

void log_lines_begin(struct log_lines *lines, int fd, int64_t end);

/*
 * 1: a line without its newline, valid until the next call; 0: no more; or negative errno. Lines that are too long are
 * left out, and so is a last line that has no newline.
 */
int log_lines_next(struct log_lines *lines, const char **ret, size_t *ret_size);

/* 0, or -EBADMSG: it is not such a line. */
int log_line_boot(struct log_boot *ret, const char *line, size_t size);

/*
 * Makes the event's record again (EVENT_RECORD_MAX bytes), so that its event_json() is the line, but for texts that
 * were not clean. Its size, or -EBADMSG: it is not an event's line.
 */
int log_line_event(char *record, const char *line, size_t size);

#endif
