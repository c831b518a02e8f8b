/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the bytes that a service prints to the lines of its log. The bytes are hostile: an overlong line is split into
 * several, and in both formats bytes that are not printable UTF-8 are replaced (utf8.h).
 */
#ifndef INIT_LOG_FORMAT_H
#define INIT_LOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX  8192	/* bytes of a line as it was printed; a longer one becomes several */
#define LOG_CONTINUES " [...]"
#define LOG_CLEAN_MAX (3 * LOG_LINE_MAX)	/* cleaned, each byte replaced by U+FFFD ... */
#define LOG_FORMATTED_MAX (65536)	/* ... or each escaped, with the rest of the JSON object, and the newline */

/* Bytes read and not yet taken as lines. Starts zeroed. */
struct logsplit {
	size_t begin, end;
	bool cut;			/* the next bytes continue a line that was split */
	char bytes[2 * LOG_LINE_MAX];
};

struct logsplit_line {
	const char *bytes;		/* in the logsplit, valid until the next logsplit_room() */
	size_t size;			/* without its newline */
	bool partial;			/* the line continues in the next piece */
	size_t taken;
};

/* Room to read into, at least LOG_LINE_MAX bytes once every whole line was taken. */
char *logsplit_room(struct logsplit *split, size_t *ret_room);
void logsplit_filled(struct logsplit *split, size_t size);

/*
 * The next line; false if none is complete. It stays the next one until logsplit_take(). last: at the end of the
 * output, when the rest is a line even without a newline.
 */
bool logsplit_next(struct logsplit *split, bool last, struct logsplit_line *ret);
void logsplit_take(struct logsplit *split, const struct logsplit_line *line);

/*
 * Writes a line of the log with its newline to out (LOG_FORMATTED_MAX bytes) and returns its size. text: cleaned, at
 * most LOG_CLEAN_MAX bytes. partial: the next line continues it, which is marked. time: RFC 3339. stream: "stdout",
 * "stderr", or "gantry" for remarks of the log itself.
 */
size_t logformat_json(char *out, const char *time, const char *stream, const char *text, size_t size, bool partial);
size_t logformat_text(char *out, const char *text, size_t size, bool partial);

#endif
