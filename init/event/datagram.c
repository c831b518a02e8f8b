/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements datagram.h. */
#include "datagram.h"

/* syslog.h's severities 0 to 7. */
static enum event_level syslog_level(char digit)
{
	static const enum event_level levels[] = {EVENT_ERROR, EVENT_ERROR, EVENT_ERROR, EVENT_ERROR,
						  EVENT_WARNING, EVENT_NOTICE, EVENT_INFO, EVENT_DEBUG};

	return levels[digit - '0'];
}

void datagram_read(struct datagram *ret, const char *bytes, size_t size)
{
	while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r' || bytes[size - 1] == '\0'))
		size--;
	if (size > 0 && bytes[0] == '{' && eventjson_read(&ret->json, bytes, size)) {
		ret->level = ret->json.level;
		ret->text = ret->json.text;
		ret->text_size = ret->json.text_size;
		ret->fields = ret->json.fields;
		ret->fields_size = ret->json.fields_size;
		return;
	}
	ret->level = EVENT_INFO;
	if (size >= 3 && bytes[0] == '<' && bytes[1] >= '0' && bytes[1] <= '7' && bytes[2] == '>') {
		ret->level = syslog_level(bytes[1]);
		bytes += 3;
		size -= 3;
	}
	ret->text = bytes;
	ret->text_size = size;
	ret->fields = NULL;
	ret->fields_size = 0;
}
