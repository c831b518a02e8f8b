/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parses the persistent log (docs/events.md). The files may be torn by power cuts or written by an attacker, so they
 * are untrusted: memory is limited to one line, and a line is accepted only if it is exactly what the logger writes.
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
	bool continued;		/* the boot began in the file before */
};

/* The kernel's id of the running boot; "unknown" if it cannot be read. */
void log_boot_id(char ret[LOG_BOOT_ID_MAX]);

void log_lines_begin(struct log_lines *lines, int fd, int64_t end);

/*
 * 1: a line without its newline, valid until the next call; 0: no more; or negative errno. Lines that are too long are
 * left out, and so is a last line that has no newline.
 */
int log_lines_next(struct log_lines *lines, const char **ret, size_t *ret_size);

/* Whether it is an event that is kept (gantry/event.h). */
bool log_line_kept(const char *line, size_t size);

/* 0, or -EBADMSG: it is not such a line. */
int log_line_boot(struct log_boot *ret, const char *line, size_t size);

/*
 * Builds the event's record (EVENT_RECORD_MAX bytes); its event_json() is the line again, apart from texts that were
 * not clean. Returns its size, or -EBADMSG: not the line of an event.
 */
int log_line_event(char *record, const char *line, size_t size);

/*
 * The file of kept events has those of the older parts of the log that are gone. If the logger was killed while it
 * rotated the files, it may already have those of the part that is now the older one: the offset where they begin, or
 * where its last whole line ends, or negative errno. ret_boot: the last boot line before that, its id "" without one.
 */
int64_t log_kept_end(int kept, int64_t kept_end, int older, int64_t older_end, struct log_boot *ret_boot);

#endif
