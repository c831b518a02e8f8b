/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events as a test sees them: waited for with the real loop, each as its line on the console, which is not there. */
#ifndef TESTS_EVENT_LINES_H
#define TESTS_EVENT_LINES_H

#include <string.h>

#include "init/event/event.h"
#include "init/lib/eventtext.h"
#include "loop_until.h"
#include "test.h"

static uint64_t wanted;

static bool enough(void)
{
	return event_last() >= wanted;
}

UNUSED static bool events_come(uint64_t n)
{
	wanted = n;
	return loop_until(enough);
}

/* From its level on. */
UNUSED static const char *line_of(uint64_t seq)
{
	static char out[EVENT_LINE_MAX];
	char record[EVENT_RECORD_MAX];
	struct text t = {.bytes = out, .room = sizeof(out) - 1};
	struct event_view e;
	size_t size = event_read(&seq, record);

	if (size == 0 || event_view(&e, record, size) < 0)
		return "(none)";
	event_console_line(&t, &e);
	out[t.size] = '\0';
	return strchr(out, ']') + 2;
}

#endif
