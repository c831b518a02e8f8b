/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A strict scan of JSON text (RFC 8259): it reports each token to a callback and builds nothing. boot.json, events and
 * the hub's document are read by it, so that input which a JSON library would accept is refused in one place: invalid
 * UTF-8, NUL and lone surrogates in strings, bytes after the value. It does not allocate and does not recurse.
 */
#ifndef INIT_LIB_JSON_H
#define INIT_LIB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 64	/* the most that depth_max may be */
#define JSON_ERROR_MAX 128

#define JSON_COMMENTS 1		/* allows comments: // to the end of the line, or between the signs of C */
#define JSON_SECRET   2		/* the text may hold secrets: errors quote no byte of it */

enum json_kind {
	JSON_BEGIN,		/* a value begins here; its own token follows */
	JSON_OBJECT,		/* opened */
	JSON_ARRAY,		/* opened */
	JSON_CLOSE,		/* the innermost of them is closed, which completes that value */
	JSON_KEY,		/* text: between the quotes, as written */
	JSON_STRING,		/* likewise */
	JSON_NUMBER,		/* text: as written */
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
	JSON_COMMENT,		/* text: with its signs */
};

struct json_token {
	enum json_kind kind;
	unsigned depth;		/* objects and arrays around it; JSON_CLOSE: as when it was opened */
	const char *text;
	size_t size;
	bool escapes;		/* key or string: it has a backslash */
};

struct json_scan {
	/* from the caller */
	const char *text;
	size_t size;
	unsigned flags;
	unsigned depth_max;	/* levels of objects and arrays, up to JSON_DEPTH_MAX */
	int (*take)(struct json_scan *scan, const struct json_token *token);	/* negative ends the scan */
	void *with;

	/* where the scan stands: during take() at the start of the token, after a failure at the error */
	size_t at;
	uint32_t line;		/* from 1 */
	size_t line_at;		/* offset of the line's first byte */
	char error[JSON_ERROR_MAX];

	/* the scan's own */
	unsigned depth;
	uint64_t objects;	/* bit n: level n is an object */
};

/* 0: the text is one JSON value. -EINVAL with `error` set, or the result of take(). */
int json_scan(struct json_scan *scan);

/* For take(): sets the error and returns -EINVAL. */
int json_fail(struct json_scan *scan, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Decodes the escapes of a key or string to out, which has room for token->size bytes; returns the bytes written. */
size_t json_decode(const struct json_token *token, char *out);

#endif
