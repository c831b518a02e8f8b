/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event as a JSON object: {"message": "...", "level": "warning", "fields": {"key": value}}. PID 1 itself parses
 * these from any local process: in one pass, without allocation, without recursion, and strictly.
 */
#ifndef INIT_EVENT_EVENTJSON_H
#define INIT_EVENT_EVENTJSON_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/event.h>

#define EVENTJSON_MAX        8192	/* bytes of a whole object */
#define EVENTJSON_FIELDS_MAX 64

struct eventjson {
	enum event_level level;		/* info if absent */
	size_t text_size, fields_size;
	char text[EVENTJSON_MAX];	/* not yet cleaned, not yet cut */
	char fields[EVENTJSON_MAX];	/* key=value NUL each, as event_add() takes them */
};

/*
 * True: the bytes are exactly one such object (RFC 8259), with white space around it. False: they are not; *ret is
 * undefined. Only `message` is required. A field's value is a string, a number (its spelling is kept) or a boolean.
 * Refused are a NUL in a string, a member that is given twice and an unknown member.
 */
bool eventjson_read(struct eventjson *ret, const char *bytes, size_t size);

#endif
