/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements format.h. */
#include <string.h>

#include "format.h"
#include "init/lib/text.h"

/* Of LOG_LINE_MAX bytes each takes six at most: \u003c; one that is replaced takes three. */
_Static_assert(6 * LOG_LINE_MAX + 512 <= LOG_FORMATTED_MAX, "the longest line fits");

char *logsplit_room(struct logsplit *split, size_t *ret_room)
{
	if (split->begin > 0) {
		memmove(split->bytes, split->bytes + split->begin, split->end - split->begin);
		split->end -= split->begin;
		split->begin = 0;
	}
	*ret_room = sizeof(split->bytes) - split->end;
	return split->bytes + split->end;
}

void logsplit_filled(struct logsplit *split, size_t size)
{
	split->end += size;
}

bool logsplit_next(struct logsplit *split, bool last, struct logsplit_line *ret)
{
	const char *at = split->bytes + split->begin;
	size_t size = split->end - split->begin;
	const char *newline;

	/* A newline right after a piece of the largest size ends that line and is not an empty one. */
	if (split->cut && size > 0 && at[0] == '\n') {
		split->begin++;
		split->cut = false;
		at++;
		size--;
	}
	newline = memchr(at, '\n', size <= LOG_LINE_MAX ? size : LOG_LINE_MAX + 1);
	*ret = (struct logsplit_line){.bytes = at};
	if (newline) {
		ret->size = (size_t)(newline - at);
		ret->taken = ret->size + 1;
	} else if (size > LOG_LINE_MAX) {
		ret->size = ret->taken = LOG_LINE_MAX;
		ret->partial = true;
		for (size_t i = 0; i < 3 && ((unsigned char)at[ret->size] & 0xc0) == 0x80; i++)
			ret->size = --ret->taken;	/* not within a character */
	} else if (last && size > 0) {
		ret->size = ret->taken = size;
	} else {
		return false;
	}
	return true;
}

void logsplit_take(struct logsplit *split, const struct logsplit_line *line)
{
	split->begin += line->taken;
	split->cut = line->partial;
}

size_t logformat_json(char *out, const char *time, const char *stream, const char *text, size_t size, bool partial)
{
	struct text t = {.bytes = out, .room = LOG_FORMATTED_MAX};

	text_put(&t, "{\"time\":\"");
	text_put(&t, time);
	text_put(&t, "\",\"stream\":\"");
	text_put(&t, stream);
	text_put(&t, "\",\"text\":");
	text_json(&t, text, size);
	text_put(&t, partial ? ",\"partial\":true}\n" : "}\n");
	return t.cut ? 0 : t.size;
}

size_t logformat_text(char *out, const char *text, size_t size, bool partial)
{
	memcpy(out, text, size);
	if (partial) {
		memcpy(out + size, LOG_CONTINUES, sizeof(LOG_CONTINUES) - 1);
		size += sizeof(LOG_CONTINUES) - 1;
	}
	out[size] = '\n';
	return size + 1;
}
