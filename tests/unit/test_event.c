/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event ring, the cleaning of what comes in, and the three forms in which an event is read.
 */
/* links: event init/lib */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "init/event/event.h"
#include "init/lib/eventtext.h"
#include "init/lib/utf8.h"
#include "loop_until.h"
#include "test.h"

/* Event `seq` in one of its forms; NULL if it is not there. */
static const char *form(uint64_t seq, void (*write)(struct text *, const struct event_view *))
{
	static char out[EVENT_JSON_MAX];
	static char record[EVENT_RECORD_MAX];
	struct text t = {.bytes = out, .room = sizeof(out) - 1};
	struct event_view e;
	uint64_t at = seq;
	size_t size = event_read(&at, record);

	if (size == 0 || at != seq || event_view(&e, record, size) < 0)
		return "";
	write(&t, &e);
	out[t.size] = '\0';
	return out;
}

static void only_text(struct text *t, const struct event_view *e)
{
	text_add(t, e->text, e->head.text_size);
}

static const char *text_of(uint64_t seq)
{
	return form(seq, only_text);
}

/* The console line without its time. */
static const char *line_of(uint64_t seq)
{
	const char *line = form(seq, event_console_line), *end = strchr(line, ']');

	return end ? end + 2 : "";
}

static void add_text(const char *text)
{
	event_add(EVENT_INFO, EVENT_MESSAGE, "test", text, strlen(text), NULL, 0);
}

TEST(events_before_the_ring_are_the_first_in_it)
{
	event_say(EVENT_NOTICE, "gantry", "early %d", 1);
	event_say(EVENT_NOTICE, "gantry", "early %d", 2);
	CHECK_STR(line_of(1), "notice gantry message: early 1\n");
	CHECK_INT(event_init(100), 0);
	event_say(EVENT_NOTICE, "gantry", "late");
	CHECK_STR(text_of(1), "early 1");
	CHECK_STR(text_of(2), "early 2");
	CHECK_STR(text_of(3), "late");
	CHECK_INT(event_last(), 3);
}

TEST(without_memory_for_the_ring_the_newest_events_are_kept)
{
	char record[EVENT_RECORD_MAX];
	uint64_t seq = 1;

	CHECK_INT(event_init(0), -EINVAL);
	for (int i = 1; i <= 1000; i++)
		event_say(EVENT_NOTICE, "gantry", "number %d", i);
	CHECK_INT(event_last(), 1000);
	CHECK_STR(text_of(1000), "number 1000");
	CHECK(event_read(&seq, record) > 0);
	CHECK(seq > 1 && seq <= 1000 - 7);	/* as many of the largest as fit, at least */
}

TEST(events_are_numbered_from_one_without_holes)
{
	char record[EVENT_RECORD_MAX];
	uint64_t seq = 0;

	CHECK_INT(event_init(100), 0);
	CHECK_INT(event_read(&seq, record), 0);
	for (int i = 0; i < 50; i++)
		event_say(EVENT_INFO, "test", "number %d", i);
	CHECK_INT(event_last(), 50);
	for (uint64_t i = 1; i <= 50; i++) {
		char expected[32];

		snprintf(expected, sizeof(expected), "number %" PRIu64, i - 1);
		CHECK_STR(text_of(i), expected);
	}
	seq = 51;
	CHECK_INT(event_read(&seq, record), 0);
}

TEST(the_oldest_event_makes_room)
{
	char record[EVENT_RECORD_MAX];
	uint64_t seq = 1;

	CHECK_INT(event_init(5), 0);
	for (int i = 1; i <= 6; i++)
		add_text((char[]){(char)('0' + i), 0});
	CHECK(event_read(&seq, record) > 0);
	CHECK_INT(seq, 2);
	CHECK_STR(text_of(6), "6");
}

TEST(ten_thousand_events_of_every_size_stay_whole)
{
	static char text[EVENT_TEXT_MAX + 1], expected[EVENT_TEXT_MAX + 1];
	uint64_t first = 1;
	char record[EVENT_RECORD_MAX];
	size_t bad = 0;

	CHECK_INT(event_init(2000), 0);
	for (int i = 1; i <= 10000; i++) {
		size_t n = (size_t)(i * 7919 % EVENT_TEXT_MAX);

		memset(text, 'a' + i % 26, n);
		text[n] = '\0';
		add_text(text);
	}
	CHECK_INT(event_last(), 10000);
	CHECK(event_read(&first, record) > 0);
	CHECK(first > 8000 && first < 9700);
	for (uint64_t i = first; i <= 10000; i++) {
		size_t n = (size_t)(i * 7919 % EVENT_TEXT_MAX);

		memset(expected, 'a' + (int)(i % 26), n);
		expected[n] = '\0';
		bad += strcmp(text_of(i), expected) != 0;
	}
	CHECK_INT(bad, 0);
}

TEST(small_events_fill_the_ring_to_its_number_of_entries)
{
	char record[EVENT_RECORD_MAX];
	uint64_t first = 1;

	CHECK_INT(event_init(2000), 0);
	for (int i = 1; i <= 5000; i++)
		add_text("a usual line of text that a service or a stage writes, with a number or two in it: 12345");
	CHECK(event_read(&first, record) > 0);
	CHECK_INT(first, 3001);
}

/* How many of the events of this source are still there. */
static int there(const char *source)
{
	char record[EVENT_RECORD_MAX];
	struct event_view e;
	uint64_t seq = 1, before = 0;
	int n = 0;

	for (size_t size; (size = event_read(&seq, record)) > 0; seq++) {
		CHECK(seq > before);
		CHECK_INT(event_view(&e, record, size), 0);
		CHECK_INT(e.head.seq, seq);
		before = seq;
		n += e.head.source_size == strlen(source) && memcmp(e.source, source, e.head.source_size) == 0;
	}
	return n;
}

TEST(no_number_of_texts_pushes_out_what_gantry_itself_reports)
{
	struct fields fields = {0};

	CHECK_INT(event_init(100), 0);
	fields_add(&fields, "text", "opened");
	event_say(EVENT_NOTICE, "gantry", "gantry 1");
	event_state(EVENT_INFO, "disk", "done", &fields);
	event_report(EVENT_INFO, EVENT_MESSAGE, "disk", "opened by its key", 17, NULL, 0);
	for (int i = 0; i < 100000; i++)
		add_text("noise");
	event_state(EVENT_NOTICE, "gantry", "booted", NULL);
	for (int i = 0; i < 100000; i++)
		add_text("noise");
	CHECK_INT(event_last(), 200004);
	CHECK_STR(text_of(1), "gantry 1");
	CHECK_STR(line_of(2), "info disk state: done text=opened\n");
	CHECK_STR(text_of(3), "opened by its key");
	CHECK_STR(text_of(100004), "booted");
	CHECK_STR(text_of(4), "");
	CHECK_STR(text_of(100005), "");
	CHECK_INT(there("test"), 100);
	CHECK_INT(there("gantry"), 2);
}

TEST(a_source_beyond_its_share_pushes_out_no_other_s_kept_events)
{
	CHECK_INT(event_init(2000), 0);
	event_state(EVENT_NOTICE, "gantry", "booted", NULL);
	for (int i = 0; i < 20000; i++) {
		event_state(EVENT_INFO, "wild", "running", NULL);
		event_say(EVENT_INFO, "wild", "reloading");
		event_report(EVENT_INFO, EVENT_MESSAGE, "wild", "text", 4, NULL, 0);
	}
	for (int i = 0; i < 20000; i++)
		add_text("noise");
	CHECK_STR(text_of(1), "booted");
	CHECK(there("wild") >= 3 * 32 && there("wild") <= 200);
	CHECK_INT(there("test"), 2000);
}

TEST(an_event_for_debugging_and_anybody_s_text_are_not_kept)
{
	CHECK_INT(event_init(10), 0);
	event_say(EVENT_DEBUG, "gantry", "module loaded");
	event_add(EVENT_ERROR, EVENT_STATE, "gantry", "booted", 6, NULL, 0);
	for (int i = 0; i < 10; i++)
		add_text("noise");
	CHECK_INT(there("gantry"), 0);
}

TEST(what_is_not_printable_is_replaced)
{
	char out[64];
	static const struct {
		const char *in;
		size_t size;
		const char *out;
	} cases[] = {
		{"plain", 5, "plain"},
		{"a\tb\nc\rd", 7, "a b c d"},
		{"nul\0x", 5, "nul\xef\xbf\xbdx"},
		{"\x1b[1;31mred\x1b[0m", 14, "red"},
		{"\x1b]0;title\x07", 10, "\xef\xbf\xbd]0;title\xef\xbf\xbd"},
		{"\x1b[", 2, "\xef\xbf\xbd["},
		{"gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f"},
		{"\xe2\x82\xac", 3, "\xe2\x82\xac"},
		{"\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80"},
		{"\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd"},		/* overlong */
		{"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},	/* surrogate */
		{"\xf4\x90\x80\x80", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},	/* above 10FFFF */
		{"\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd"},		/* cut off */
		{"\xc2\x85\x7f", 3, "\xef\xbf\xbd\xef\xbf\xbd"},	/* C1, DEL */
		{"\xe2\x80\xae" "evil", 7, "\xef\xbf\xbd" "evil"},	/* right-to-left override */
		{"\xe2\x80\xa8", 3, "\xef\xbf\xbd"},			/* line separator */
		{"", 0, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n = utf8_clean(out, sizeof(out) - 1, cases[i].in, cases[i].size);

		out[n] = '\0';
		CHECK_STR(out, cases[i].out);
	}
}

TEST(a_long_text_is_cut_between_characters)
{
	static char text[3 * EVENT_TEXT_MAX];
	const char *kept;

	CHECK_INT(event_init(10), 0);
	for (size_t i = 0; i + 3 <= sizeof(text); i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	event_add(EVENT_INFO, EVENT_MESSAGE, "test", text, sizeof(text), NULL, 0);
	kept = text_of(1);
	CHECK_INT(strlen(kept), EVENT_TEXT_MAX / 3 * 3);
	event_say(EVENT_INFO, "a-source-name-that-is-far-longer-than-allowed", "%.*s", (int)sizeof(text), text);
	CHECK_INT(strlen(text_of(2)), EVENT_TEXT_MAX / 3 * 3);
}

TEST(fields_that_are_not_key_and_value_are_left_out)
{
	static const char fields[] = "good=1\0no equals\0=nokey\0Bad=2\0with-dash=3\0also_good2=x y\0last=unended";

	CHECK_INT(event_init(10), 0);
	event_add(EVENT_INFO, EVENT_MESSAGE, "test", "t", 1, fields, sizeof(fields) - 1);
	CHECK_STR(line_of(1), "info test message: t good=1 also_good2=\"x y\" last=unended\n");
}

TEST(too_many_fields_are_cut)
{
	char fields[4000];
	struct event_view e;
	char record[EVENT_RECORD_MAX];
	uint64_t seq = 1;
	size_t used = 0, size;

	CHECK_INT(event_init(10), 0);
	for (int i = 0; i < 100; i++)
		used += (size_t)snprintf(fields + used, sizeof(fields) - used, "key%d=%030d", i, i) + 1;
	event_add(EVENT_INFO, EVENT_STATE, "test", "t", 1, fields, used);
	memset(fields, 'x', sizeof(fields));
	memcpy(fields, "k=", 2);
	event_add(EVENT_INFO, EVENT_STATE, "test", "t", 1, fields, sizeof(fields));
	for (; seq <= 2; seq++) {
		size = event_read(&seq, record);
		CHECK_INT(event_view(&e, record, size), 0);
		CHECK(e.head.fields_size > 400 && e.head.fields_size <= EVENT_FIELDS_MAX);
	}
}

TEST(the_console_line_has_the_text_field_last)
{
	struct fields fields = {0};

	CHECK_INT(event_init(10), 0);
	fields_add(&fields, "text", "%s", "10.0.0.4/24 via 10.0.0.1 on eth0");
	fields_add(&fields, "attempt", "%d", 1);
	event_state(EVENT_INFO, "network", "done", &fields);
	CHECK_STR(line_of(1), "info network state: done attempt=1 text=10.0.0.4/24 via 10.0.0.1 on eth0\n");
	event_state(EVENT_NOTICE, "gantry", "booted", NULL);
	CHECK_STR(line_of(2), "notice gantry state: booted\n");
	event_add(EVENT_INFO, EVENT_PROGRESS, "snapshot", "12 of 64 MiB", 12,
		  "done=12582912\0total=67108864\0eta_s=6", 36);
	CHECK_STR(line_of(3), "info snapshot progress: 12 of 64 MiB done=12582912 total=67108864 eta_s=6\n");
	event_say(EVENT_DEBUG, "disk", "%s", "");
	CHECK_STR(line_of(4), "debug disk message: \n");
}

TEST(the_old_message_names_the_source_unless_it_came_from_outside)
{
	struct fields fields = {0};

	CHECK_INT(event_init(10), 0);
	fields_add(&fields, "text", "opened");
	event_state(EVENT_INFO, "disk", "done", &fields);
	event_add(EVENT_INFO, EVENT_MESSAGE, "fifo", "foo", 3, NULL, 0);
	event_add(EVENT_INFO, EVENT_MESSAGE, "http", "bar", 3, NULL, 0);
	CHECK_STR(form(1, event_message), "[disk] done text=opened");
	CHECK_STR(form(2, event_message), "foo");
	CHECK_STR(form(3, event_message), "bar");
}

TEST(json_marks_a_kept_event)
{
	CHECK_INT(event_init(10), 0);
	event_state(EVENT_NOTICE, "gantry", "booted", NULL);
	add_text("\"kept\":true");
	CHECK(strstr(form(1, event_json), ",\"kind\":\"state\",\"kept\":true,\"source\":") != NULL);
	CHECK(strstr(form(2, event_json), "\"kept\":true") == NULL);
}

TEST(json_escapes_and_keeps_numbers)
{
	const char *json;

	CHECK_INT(event_init(10), 0);
	event_add(EVENT_WARNING, EVENT_PROGRESS, "s3", "a \"b\" \\ <c>", 11, "done=12\0text=x=\"y\"\0zero=007", 27);
	json = form(1, event_json);
	CHECK(strncmp(json, "{\"received_at\":\"20", 18) == 0);
	CHECK(strstr(json, ",\"message\":\"[s3] a \\\"b\\\" \\\\ \\u003cc\\u003e done=12 zero=") != NULL);
	CHECK(strstr(json, ",\"seq\":1,\"boot_s\":") != NULL);
	CHECK(strstr(json, ",\"level\":\"warning\",\"kind\":\"progress\",\"source\":\"s3\",") != NULL);
	CHECK(strstr(json, ",\"text\":\"a \\\"b") != NULL);
	CHECK(strstr(json, ",\"fields\":{\"done\":12,\"text\":\"x=\\\"y\\\"\",\"zero\":\"007\"}}") != NULL);
}

TEST(times_are_written_as_the_older_api_did)
{
	static const struct {
		int64_t ns;
		bool nano;
		const char *out;
	} cases[] = {
		{0, true, "1970-01-01T00:00:00Z"},
		{1700000000000000000, true, "2023-11-14T22:13:20Z"},
		{1700000000120000000, true, "2023-11-14T22:13:20.12Z"},
		{1700000000000000001, true, "2023-11-14T22:13:20.000000001Z"},
		{1700000000999999999, false, "2023-11-14T22:13:20Z"},
		{-1, true, "1969-12-31T23:59:59.999999999Z"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char out[64];
		struct text t = TEXT_FIXED(out);

		time_rfc3339(&t, cases[i].ns, cases[i].nano);
		out[t.size] = '\0';
		CHECK_STR(out, cases[i].out);
	}
}

TEST(the_longest_event_fits_every_form)
{
	static char text[EVENT_TEXT_MAX], fields[EVENT_FIELDS_MAX], out[EVENT_JSON_MAX], record[EVENT_RECORD_MAX];
	struct text line = {.bytes = out, .room = EVENT_LINE_MAX}, json = TEXT_FIXED(out);
	struct event_view e;
	uint64_t seq = 1;

	CHECK_INT(event_init(10), 0);
	memset(text, '<', sizeof(text));
	memset(fields, '"', sizeof(fields));
	memcpy(fields, "k=", 2);
	event_add(EVENT_WARNING, EVENT_PROGRESS, "a-source-name-of-thirty-two-byte", text, sizeof(text), fields,
		  sizeof(fields));
	CHECK_INT(event_view(&e, record, event_read(&seq, record)), 0);
	event_console_line(&line, &e);
	CHECK(!line.cut);
	event_json(&json, &e);
	CHECK(!json.cut);
}

TEST(a_record_whose_sizes_do_not_add_up_is_refused)
{
	static char record[EVENT_RECORD_MAX];
	struct event_head head;
	struct event_view e;
	uint64_t seq = 1;
	size_t size;

	CHECK_INT(event_init(10), 0);
	event_add(EVENT_INFO, EVENT_MESSAGE, "test", "text", 4, "a=b", 3);
	size = event_read(&seq, record);
	CHECK_INT(event_view(&e, record, size), 0);
	CHECK_INT(event_view(&e, record, size - 1), -EBADMSG);
	CHECK_INT(event_view(&e, record, 3), -EBADMSG);
	memcpy(&head, record, sizeof(head));
	head.level = EVENT_LEVEL_MAX;
	memcpy(record, &head, sizeof(head));
	CHECK_INT(event_view(&e, record, size), -EBADMSG);
}

static int woken;

static void wake(void)
{
	if (woken++ < 100)
		event_say(EVENT_INFO, "reader", "woken");
}

static bool drops_said(void)
{
	return strstr(text_of(event_last()), "dropped") != NULL;
}

static bool drops_said_again(void)
{
	return strcmp(text_of(event_last()), "2 messages dropped: malformed, refused or undeliverable; "
		      "the last from b") == 0;
}

TEST(drops_are_counted_and_said_once_a_second)
{
	uint64_t last;

	CHECK_INT(event_init(10), 0);
	CHECK_INT(loop_init(), 0);
	event_count_drop("a");
	CHECK_INT(event_drops(), 1);
	CHECK(loop_until(drops_said));
	CHECK_STR(text_of(event_last()), "1 message dropped: malformed, refused or undeliverable; the last from a");
	last = event_last();
	event_count_drop("a");
	event_count_drop("b");
	CHECK_INT(event_last(), last);
	CHECK(loop_until(drops_said_again));
	CHECK_INT(event_last(), last + 1);
}

TEST(a_reader_that_speaks_when_woken_is_not_woken_for_ever)
{
	CHECK_INT(event_init(1000), 0);
	event_on_add(wake);
	event_say(EVENT_INFO, "test", "hello");
	CHECK_INT(woken, 2);
	CHECK_INT(event_last(), 3);
}
