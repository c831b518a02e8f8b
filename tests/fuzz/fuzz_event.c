/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as an event's text and fields: what comes out is valid, bounded, one line, and the same in every form.
 * The input is the datagram of a stage's report: text, NUL, fields.
 */
/* links: event init/lib */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "init/event/event.h"
#include "init/lib/eventtext.h"
#include "init/lib/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int64_t loop_now_ns(void)
{
	return 1234567890;
}

void loop_arm(struct loop_timer *timer, int64_t due_ns)
{
	(void)timer;
	(void)due_ns;
}

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool ready;
	static char record[EVENT_RECORD_MAX], out[EVENT_JSON_MAX];
	const uint8_t *end = memchr(bytes, 0, size);
	size_t text_size = end ? (size_t)(end - bytes) : size;
	const char *fields = end ? (const char *)end + 1 : NULL;
	struct text line = {.bytes = out, .room = EVENT_LINE_MAX}, json = TEXT_FIXED(out), message = TEXT_FIXED(out);
	struct event_view e;
	uint64_t seq;
	size_t n;

	if (!ready)
		check(event_init(100) == 0);
	ready = true;
	event_add(EVENT_INFO, EVENT_STATE, "fuzz", (const char *)bytes, text_size, fields,
		  fields ? size - text_size - 1 : 0);
	seq = event_last();
	n = event_read(&seq, record);
	check(n > 0 && seq == event_last());
	check(event_view(&e, record, n) == 0);
	event_console_line(&line, &e);
	check(!line.cut && memchr(out, '\n', line.size) == out + line.size - 1 && !memchr(out, 0, line.size));
	event_json(&json, &e);
	check(!json.cut && !memchr(out, '\n', json.size) && !memchr(out, 0, json.size));
	event_text_line(&message, &e);
	check(!message.cut);
	return 0;
}
