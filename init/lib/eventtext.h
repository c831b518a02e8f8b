/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text forms of an event: the console line, the JSON object (log, API, gantryctl --json) and the one-line message
 * of the older System API. They are in one place, so that all readers show the same text.
 */
#ifndef INIT_LIB_EVENTTEXT_H
#define INIT_LIB_EVENTTEXT_H

#include <gantry/event.h>

#include "text.h"

struct event_view {
	struct event_head head;
	const char *source, *text, *fields;	/* sizes in head; point into the record */
};

/* The largest each can be, with every character in its longest form. */
#define EVENT_LINE_MAX 4096
#define EVENT_JSON_MAX 24576

/* 0; -EBADMSG: the sizes do not add up, or the level, kind or a field is invalid. */
int event_view(struct event_view *ret, const void *record, size_t size);

/* A field's value, or NULL. */
const char *event_field(const struct event_view *e, const char *name);

/* "[   12.345678] LEVEL SOURCE KIND: TEXT key=value" with newline; docs/events.md. */
void event_console_line(struct text *t, const struct event_view *e);

/* One JSON object, without newline, as in docs/event.schema.json. */
void event_json(struct text *t, const struct event_view *e);

/* The message of the older System API: TEXT key=value, with the source in front unless it is "http" or "fifo". */
void event_message(struct text *t, const struct event_view *e);

/* "RFC3339 \t message\n": the older System API's text format. */
void event_text_line(struct text *t, const struct event_view *e);

/* 2006-01-02T15:04:05Z; with `nano`, up to nine digits of fraction without trailing zeros, as Go's RFC3339Nano. */
void time_rfc3339(struct text *t, int64_t wall_ns, bool nano);

#endif
