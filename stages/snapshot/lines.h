/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lines of a text file of this stage: an incomplete line is not accepted, and a number has exactly one spelling.
 */
#ifndef STAGES_SNAPSHOT_LINES_H
#define STAGES_SNAPSHOT_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines {
	const char *at, *end;	/* the bytes not read yet */
};

/*
 * The next line without its '\n', copied; false at the end, for a cut line, an embedded NUL or one that is
 * too long.
 */
bool lines_next(struct lines *in, char *ret, size_t room);

/* A decimal number followed by ends_with, and the rest of the line. 0 or -EBADMSG. ret_rest may be NULL. */
int lines_number(const char *text, char ends_with, uint64_t *ret, const char **ret_rest);

#endif
