/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements text.h. After the first piece that does not fit nothing more is added, so a cut text has no gaps. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static bool make_room(struct text *t, size_t size)
{
	size_t room = t->room ? t->room : 1024;
	char *bytes;

	if (t->cut)
		return false;
	if (size <= t->room - t->size)
		return true;
	if (size > t->limit || t->size > t->limit - size) {
		t->cut = true;
		return false;
	}
	while (room < t->size + size)
		room *= 2;
	if (room > t->limit)
		room = t->limit;
	bytes = realloc(t->bytes, room);
	if (!bytes) {
		t->cut = true;
		return false;
	}
	t->bytes = bytes;
	t->room = room;
	return true;
}

void text_add(struct text *t, const char *bytes, size_t size)
{
	if (size == 0 || !make_room(t, size))
		return;
	memcpy(t->bytes + t->size, bytes, size);
	t->size += size;
}

void text_put(struct text *t, const char *string)
{
	text_add(t, string, strlen(string));
}

void text_printf(struct text *t, const char *fmt, ...)
{
	char buffer[512];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(buffer, sizeof(buffer), fmt, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(buffer))
		t->cut = true;	/* formats here are short by design; strings go through text_put() */
	text_add(t, buffer, (size_t)n);
}

static void quote(struct text *t, const char *bytes, size_t size, const char *escaped)
{
	size_t start = 0;

	text_put(t, "\"");
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c >= 0x20 && !strchr(escaped, c))
			continue;
		text_add(t, bytes + start, i - start);
		start = i + 1;
		if (c == '"' || c == '\\')
			text_add(t, (char[]){'\\', (char)c}, 2);
		else
			text_printf(t, "\\u%04x", c);
	}
	text_add(t, bytes + start, size - start);
	text_put(t, "\"");
}

void text_quote(struct text *t, const char *bytes, size_t size)
{
	quote(t, bytes, size, "\"\\");
}

void text_json(struct text *t, const char *bytes, size_t size)
{
	quote(t, bytes, size, "\"\\<>&");
}

const char *text_field(const char *fields, size_t size, const char *name)
{
	size_t n = strlen(name);

	for (const char *f = fields; f < fields + size; f += strlen(f) + 1)
		if (strncmp(f, name, n) == 0 && f[n] == '=')
			return f + n + 1;
	return NULL;
}
