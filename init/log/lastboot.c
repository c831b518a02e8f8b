/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements lastboot.h. Only lines that contain the text "down" are parsed: a log has many lines. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "lastboot.h"

#define RECORD_TEXT "down"

void lastboot_boot(struct lastboot *last, const struct log_boot *boot)
{
	last->over = strcmp(boot->id, last->running) == 0;
	if (last->over || (last->any && strcmp(boot->id, last->id) == 0))
		return;
	last->any = true;
	last->ended = false;
	last->fields_size = last->last_size = 0;
	memcpy(last->id, boot->id, sizeof(last->id));
}

static bool is_record(struct event_view *e, char *record, const char *line, size_t size)
{
	static const char word[] = "\"text\":\"" RECORD_TEXT "\"";
	int n;

	if (!memmem(line, size, word, sizeof(word) - 1))
		return false;
	n = log_line_event(record, line, size);
	return n > 0 && event_view(e, record, (size_t)n) == 0 && e->head.kind == EVENT_STATE &&
	       e->head.source_size == strlen("gantry") && memcmp(e->source, "gantry", e->head.source_size) == 0 &&
	       e->head.text_size == strlen(RECORD_TEXT) && memcmp(e->text, RECORD_TEXT, e->head.text_size) == 0;
}

void lastboot_line(struct lastboot *last, const char *line, size_t size)
{
	char record[EVENT_RECORD_MAX];
	struct event_view e;

	if (last->over || last->ended || size > sizeof(last->last))
		return;
	last->any = true;
	memcpy(last->last, line, size);
	last->last_size = size;
	if (!is_record(&e, record, line, size))
		return;
	last->ended = true;
	memcpy(last->fields, e.fields, e.head.fields_size);
	last->fields_size = e.head.fields_size;
}

size_t lastboot_fields(const struct lastboot *last, char *ret, size_t room)
{
	struct text t = {.bytes = ret, .room = room};
	char record[EVENT_RECORD_MAX], at[40] = "";
	struct text time = TEXT_FIXED(at);
	int n = last->last_size ? log_line_event(record, last->last, last->last_size) : 0;
	struct event_view e;

	if (!last->any)
		return 0;
	text_put(&t, last->ended ? "in_order=true" : "in_order=false");
	text_add(&t, "", 1);
	if (n > 0 && event_view(&e, record, (size_t)n) == 0) {
		time_rfc3339(&time, e.head.wall_ns, false);
		text_put(&t, "at=");
		text_add(&t, at, time.size);
		text_add(&t, "", 1);
	}
	if (!last->ended)
		return t.size;
	for (const char *f = last->fields; f < last->fields + last->fields_size; f += strlen(f) + 1)
		if (strlen(f) + 1 <= room - t.size)	/* a field that does not fit is left out */
			text_add(&t, f, strlen(f) + 1);
	return t.size;
}
