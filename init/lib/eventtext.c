/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements eventtext.h. Texts were cleaned when the event was added to the ring, so this only quotes. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "eventtext.h"

#define SECOND_NS 1000000000

static const char *const level_names[] = EVENT_LEVEL_NAMES;
static const char *const kind_names[] = EVENT_KIND_NAMES;

/* Sources whose older message is the client's text alone. */
static const char *const outside[] = {"fifo", "http"};

int event_view(struct event_view *ret, const void *record, size_t size)
{
	struct event_view e;

	if (size < sizeof(e.head))
		return -EBADMSG;
	memcpy(&e.head, record, sizeof(e.head));
	if (e.head.level >= EVENT_LEVEL_MAX || e.head.kind >= EVENT_KIND_MAX ||
	    e.head.source_size > EVENT_SOURCE_MAX || e.head.text_size > EVENT_TEXT_MAX ||
	    e.head.fields_size > EVENT_FIELDS_MAX ||
	    size != sizeof(e.head) + e.head.source_size + e.head.text_size + e.head.fields_size)
		return -EBADMSG;
	e.source = (const char *)record + sizeof(e.head);
	e.text = e.source + e.head.source_size;
	e.fields = e.text + e.head.text_size;
	if (e.head.fields_size > 0 && e.fields[e.head.fields_size - 1] != '\0')
		return -EBADMSG;
	for (const char *f = e.fields; f < e.fields + e.head.fields_size; f += strlen(f) + 1)
		if (!strchr(f, '='))
			return -EBADMSG;
	*ret = e;
	return 0;
}

const char *event_field(const struct event_view *e, const char *name)
{
	return text_field(e->fields, e->head.fields_size, name);
}

static const char *next_field(const struct event_view *e, const char *field)
{
	const char *next = field ? field + strlen(field) + 1 : e->fields;

	return next < e->fields + e->head.fields_size ? next : NULL;
}

/* Bare where that is unambiguous, quoted otherwise. */
static void add_field(struct text *t, const char *field)
{
	const char *value = strchr(field, '=') + 1;

	text_put(t, " ");
	text_add(t, field, (size_t)(value - field));
	if (*value == '\0' || strpbrk(value, " \""))
		text_quote(t, value, strlen(value));
	else
		text_put(t, value);
}

/* TEXT key=value key=value; the field `text` comes last and unquoted, it takes the rest of the line. */
static void add_words(struct text *t, const struct event_view *e)
{
	const char *rest = NULL;

	text_add(t, e->text, e->head.text_size);
	for (const char *f = next_field(e, NULL); f; f = next_field(e, f)) {
		if (strncmp(f, "text=", 5) == 0)
			rest = f;
		else
			add_field(t, f);
	}
	if (rest) {
		text_put(t, " ");
		text_put(t, rest);
	}
}

void event_console_line(struct text *t, const struct event_view *e)
{
	text_printf(t, "[%5" PRId64 ".%06" PRId64 "] %s ", e->head.boot_ns / SECOND_NS,
		    e->head.boot_ns % SECOND_NS / 1000, level_names[e->head.level]);
	text_add(t, e->source, e->head.source_size);
	text_printf(t, " %s: ", kind_names[e->head.kind]);
	add_words(t, e);
	text_put(t, "\n");
}

void event_message(struct text *t, const struct event_view *e)
{
	bool own = true;

	for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++) {
		size_t n = strlen(outside[i]);

		if (n == e->head.source_size && memcmp(outside[i], e->source, n) == 0)
			own = false;
	}
	if (own) {
		text_put(t, "[");
		text_add(t, e->source, e->head.source_size);
		text_put(t, "] ");
	}
	add_words(t, e);
}

void time_rfc3339(struct text *t, int64_t wall_ns, bool nano)
{
	int64_t seconds = wall_ns / SECOND_NS, rest = wall_ns % SECOND_NS;
	struct tm tm;
	char digits[16];
	size_t n;

	if (rest < 0) {
		rest += SECOND_NS;
		seconds--;
	}
	if (!gmtime_r(&(time_t){seconds}, &tm))
		memset(&tm, 0, sizeof(tm));
	text_printf(t, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		    tm.tm_min, tm.tm_sec);
	if (nano && rest > 0) {
		for (n = 9; rest % 10 == 0; n--)
			rest /= 10;
		for (size_t i = n; i > 0; i--, rest /= 10)
			digits[i - 1] = (char)('0' + rest % 10);
		text_put(t, ".");
		text_add(t, digits, n);
	}
	text_put(t, "Z");
}

void event_text_line(struct text *t, const struct event_view *e)
{
	time_rfc3339(t, e->head.wall_ns, false);
	text_put(t, " \t ");
	event_message(t, e);
	text_put(t, "\n");
}

/* A number stays a number, so that readers can compute with done, total and attempt. */
static void add_value(struct text *t, const char *value)
{
	size_t n = strspn(value, "0123456789");

	if (n > 0 && n < 16 && value[n] == '\0' && (n == 1 || value[0] != '0'))
		text_put(t, value);
	else
		text_json(t, value, strlen(value));
}

void event_json(struct text *t, const struct event_view *e)
{
	char message[EVENT_LINE_MAX];
	struct text m = TEXT_FIXED(message);
	const char *before = ",\"fields\":{";

	event_message(&m, e);
	text_put(t, "{\"received_at\":\"");
	time_rfc3339(t, e->head.wall_ns, true);
	text_put(t, "\",\"message\":");
	text_json(t, m.bytes, m.size);
	text_printf(t, ",\"seq\":%" PRIu64 ",\"boot_s\":%" PRId64 ".%06" PRId64 ",\"level\":\"%s\",\"kind\":\"%s\"",
		    e->head.seq, e->head.boot_ns / SECOND_NS, e->head.boot_ns % SECOND_NS / 1000,
		    level_names[e->head.level], kind_names[e->head.kind]);
	text_put(t, e->head.kept ? ",\"kept\":true,\"source\":" : ",\"source\":");
	text_json(t, e->source, e->head.source_size);
	text_put(t, ",\"text\":");
	text_json(t, e->text, e->head.text_size);
	for (const char *f = next_field(e, NULL); f; f = next_field(e, f)) {
		const char *value = strchr(f, '=') + 1;

		text_put(t, before);
		text_json(t, f, (size_t)(value - 1 - f));
		text_put(t, ":");
		add_value(t, value);
		before = ",";
	}
	text_put(t, e->head.fields_size > 0 ? "}}" : "}");
}
