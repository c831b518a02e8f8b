/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event as a JSON object: {"message": "...", "level": "warning", "fields": {"key": value}}. PID 1 itself reads these
 * from any local process, so: no allocation, no recursion, one pass, and an object that is not wholly valid is refused.
 */
#ifndef INIT_EVENT_EVENTJSON_H
#define INIT_EVENT_EVENTJSON_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/event.h>

#define EVENTJSON_MAX        8192	/* bytes of a whole object */
#define EVENTJSON_FIELDS_MAX 64

struct eventjson {
	enum event_level level;		/* info where none is given */
	size_t text_size, fields_size;
	char text[EVENTJSON_MAX];	/* not yet cleaned, not yet cut */
	char fields[EVENTJSON_MAX];	/* key=value NUL each, as event_add() takes them */
};

/*
 * True: the bytes are such an object (RFC 8259) and nothing else, with white space around it. False: anything else;
 * *ret is then undefined. Only `message` is required. A value is a string, a number or a boolean; a number keeps its
 * spelling. No NUL in any string, no member twice, no other member.
 */
bool eventjson_read(struct eventjson *ret, const char *bytes, size_t size);

#endif
