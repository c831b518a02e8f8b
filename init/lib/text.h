/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text in a bounded buffer: text that does not fit is cut, and `cut` is set. */
#ifndef INIT_LIB_TEXT_H
#define INIT_LIB_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *bytes;
	size_t size, room;
	size_t limit;	/* above 0: bytes is malloc'ed, grows up to this and is freed by the owner */
	bool cut;
};

#define TEXT_FIXED(buffer) {.bytes = (buffer), .room = sizeof(buffer)}
#define TEXT_GROWING(max)  {.limit = (max)}

void text_add(struct text *t, const char *bytes, size_t size);
void text_put(struct text *t, const char *string);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* In double quotes, with a backslash before quotes and backslashes. */
void text_quote(struct text *t, const char *bytes, size_t size);

/* A JSON string with its quotes; like Go's encoder it also escapes <, > and &. bytes: valid UTF-8. */
void text_json(struct text *t, const char *bytes, size_t size);

/* The value of `name` in `size` bytes of NAME=VALUE strings, each ended by NUL (fields, facts); NULL: there is none. */
const char *text_field(const char *fields, size_t size, const char *name);

#endif
