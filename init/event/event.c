/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements event.h. Every event is cleaned, numbered and added to the ring here and nowhere else; then the readers
 * are woken. No call fails, waits or allocates, so any code may add an event at any time, even before event_init():
 * there is a small ring from the start.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "event.h"
#include "init/lib/loop.h"
#include "init/lib/bucket.h"
#include "init/lib/history.h"
#include "init/lib/utf8.h"
#include "quota.h"

#define WAKES_MAX       4
#define KEY_MAX         32
#define DROP_REPORT_NS  1000000000
#define EARLY_ENTRIES   32

static struct ring_entry early_index[EARLY_ENTRIES];
static char early_bytes[8 * EVENT_RECORD_MAX];
static struct history history = {.others = {.index = early_index, .entries = EARLY_ENTRIES,
					    .bytes = early_bytes, .size = sizeof(early_bytes)}};
static void (*wakes[WAKES_MAX])(void);
static size_t n_wakes;
static bool waking, wake_again;

static uint64_t drops, drops_said, levels[EVENT_LEVEL_MAX];
static char drop_source[EVENT_SOURCE_MAX + 1];
static int64_t drops_said_ns;
static struct loop_timer drop_timer;
static struct bucket drop_reports;
static const struct bucket_limit drop_reports_limit = EVENT_DROP_REPORTS;

int event_init(size_t entries)
{
	char record[EVENT_RECORD_MAX];
	uint64_t seq = 0;
	struct history whole;
	int r = history_init(&whole, entries);
	size_t size;

	if (r < 0)
		return r;
	for (; (size = event_read(&seq, record)) > 0; seq++)
		history_add(&whole, record, size);
	history = whole;
	return 0;
}

uint64_t event_last(void)
{
	return history_last(&history);
}

size_t event_entries(void)
{
	return history.others.entries;
}

size_t event_read(uint64_t *seq, void *record)
{
	return history_read(&history, seq, record);
}

void event_on_add(void (*wake)(void))
{
	if (n_wakes < WAKES_MAX)
		wakes[n_wakes++] = wake;
}

/* A reader that adds an event while it is woken is woken once more, not endlessly. */
static void wake_readers(void)
{
	if (waking) {
		wake_again = true;
		return;
	}
	waking = true;
	for (int round = 0; round < 2; round++) {
		wake_again = false;
		for (size_t i = 0; i < n_wakes; i++)
			wakes[i]();
		if (!wake_again)
			break;
	}
	waking = false;
}

static size_t key_size(const char *field, size_t size)
{
	size_t n = 0;

	while (n < size && n <= KEY_MAX && ((field[n] >= 'a' && field[n] <= 'z') ||
	       (n > 0 && ((field[n] >= '0' && field[n] <= '9') || field[n] == '_'))))
		n++;
	return n > 0 && n <= KEY_MAX && n < size && field[n] == '=' ? n : 0;
}

bool event_is_field(const char *field, size_t size)
{
	return key_size(field, size) > 0;
}

size_t event_clean_fields(char *out, size_t room, const char *fields, size_t size)
{
	size_t used = 0;

	while (size > 0) {
		const char *end = memchr(fields, '\0', size);
		size_t n = end ? (size_t)(end - fields) : size;
		size_t key = key_size(fields, n);

		if (key > 0) {
			if (used + key + 2 > room)
				break;
			memcpy(out + used, fields, key + 1);
			used += key + 1;
			used += utf8_clean(out + used, room - 1 - used, fields + key + 1, n - key - 1);
			out[used++] = '\0';
		}
		n = end ? n + 1 : n;
		fields += n;
		size -= n;
	}
	return used;
}

static void add(bool kept, enum event_level level, enum event_kind kind, const char *source, const char *text,
		size_t text_size, const char *fields, size_t fields_size)
{
	static char record[EVENT_RECORD_MAX];
	struct event_head head = {
		.seq = history_last(&history) + 1,
		.boot_ns = loop_now_ns(),
		.level = level < EVENT_LEVEL_MAX ? level : EVENT_ERROR,
		.kind = kind < EVENT_KIND_MAX ? kind : EVENT_MESSAGE,
		.kept = kept,
	};
	char *p = record + sizeof(head);
	struct timespec wall = {0};

	clock_gettime(CLOCK_REALTIME, &wall);
	head.wall_ns = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec;
	head.source_size = (uint16_t)utf8_clean(p, EVENT_SOURCE_MAX, source, strlen(source));
	p += head.source_size;
	head.text_size = (uint16_t)utf8_clean(p, EVENT_TEXT_MAX, text, text_size);
	p += head.text_size;
	head.fields_size = (uint16_t)event_clean_fields(p, EVENT_FIELDS_MAX, fields, fields_size);
	p += head.fields_size;
	memcpy(record, &head, sizeof(head));
	levels[head.level]++;
	history_add(&history, record, (size_t)(p - record));
	wake_readers();
}

void event_add(enum event_level level, enum event_kind kind, const char *source, const char *text, size_t text_size,
	       const char *fields, size_t fields_size)
{
	add(false, level, kind, source, text, text_size, fields, fields_size);
}

void event_report(enum event_level level, enum event_kind kind, const char *source, const char *text, size_t text_size,
		  const char *fields, size_t fields_size)
{
	bool kept = level > EVENT_DEBUG && quota_keep(source, KEPT_REPORTED, loop_now_ns());

	add(kept, level, kind, source, text, text_size, fields, fields_size);
}

static void say(enum event_level level, const char *source, const struct fields *fields, const char *fmt, va_list args)
{
	char text[EVENT_TEXT_MAX + 8];	/* more than fits, so that the cut is made between characters */
	int n = vsnprintf(text, sizeof(text), fmt, args);

	if (n < 0)
		n = 0;
	add(level > EVENT_DEBUG && quota_keep(source, KEPT_SAID, loop_now_ns()), level, EVENT_MESSAGE, source, text,
	    (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1, fields ? fields->bytes : NULL,
	    fields ? fields->size : 0);
}

void event_say(enum event_level level, const char *source, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(level, source, NULL, fmt, args);
	va_end(args);
}

void event_tell(enum event_level level, const char *source, const struct fields *fields, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(level, source, fields, fmt, args);
	va_end(args);
}

void event_state(enum event_level level, const char *source, const char *state, const struct fields *fields)
{
	add(quota_keep(source, KEPT_STATE, loop_now_ns()), level, EVENT_STATE, source, state, strlen(state),
	    fields ? fields->bytes : NULL, fields ? fields->size : 0);
}

void event_levels(uint64_t ret[EVENT_LEVEL_MAX])
{
	memcpy(ret, levels, sizeof(levels));
}

uint64_t event_drops(void)
{
	return drops;
}

void event_count_told_drop(void)
{
	drops++;
	drops_said++;
}

static void say_drops(struct loop_timer *timer)
{
	uint64_t n = drops - drops_said;

	(void)timer;
	drops_said = drops;
	drops_said_ns = loop_now_ns();
	bucket_take(&drop_reports, &drop_reports_limit, drops_said_ns);
	event_say(EVENT_WARNING, "gantry", "%llu message%s dropped: malformed, refused or undeliverable; "
		  "the last from %s", (unsigned long long)n, n == 1 ? "" : "s", drop_source);
}

void event_count_drop(const char *source)
{
	int64_t now_ns, due_ns;

	drops++;
	snprintf(drop_source, sizeof(drop_source), "%s", source);
	if (drop_timer.armed)
		return;
	now_ns = loop_now_ns();
	due_ns = drops_said_ns ? drops_said_ns + DROP_REPORT_NS : 0;
	drop_timer.fire = say_drops;
	loop_arm(&drop_timer, bucket_due(&drop_reports, &drop_reports_limit, due_ns > now_ns ? due_ns : now_ns));
}
