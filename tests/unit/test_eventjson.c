/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is an event object and what is not; and what a datagram says.
 */
/* links: event init/lib */
#include <string.h>

#include "init/event/datagram.h"
#include "init/event/event.h"
#include "test.h"

static struct eventjson e;

static bool reads(const char *object, size_t size)
{
	char *copy = malloc(size ? size : 1);	/* of the exact size, so that one byte too far is seen */
	bool good;

	memcpy(copy, object, size);
	good = eventjson_read(&e, copy, size);
	free(copy);
	return good;
}

static const char *text_of(const char *object)
{
	static char out[EVENTJSON_MAX + 1];

	if (!reads(object, strlen(object)))
		return "(refused)";
	memcpy(out, e.text, e.text_size);
	out[e.text_size] = '\0';
	return out;
}

/* The fields with a | behind each. */
static const char *fields_of(const char *object)
{
	static char out[EVENTJSON_MAX + 1];

	if (!reads(object, strlen(object)))
		return "(refused)";
	for (size_t i = 0; i < e.fields_size; i++)
		out[i] = e.fields[i] ? e.fields[i] : '|';
	out[e.fields_size] = '\0';
	return out;
}

TEST(an_object_is_message_level_and_fields_in_any_order)
{
	CHECK_STR(text_of("{\"message\":\"disk is slow\"}"), "disk is slow");
	CHECK_INT(e.level, EVENT_INFO);
	CHECK_INT(e.fields_size, 0);
	CHECK_STR(fields_of(" { \"fields\" : { \"a\" : \"x y\" , \"n\":-1.5e+3,\"b\":true, \"c\": false } ,\r\n\t"
			    "\"level\":\"warning\", \"message\":\"m\" } \n"), "a=x y|n=-1.5e+3|b=true|c=false|");
	CHECK_INT(e.level, EVENT_WARNING);
	CHECK_STR(text_of("{\"message\":\"\",\"fields\":{}}"), "");
}

TEST(every_level_has_its_name)
{
	static const char *const names[] = EVENT_LEVEL_NAMES;
	char object[80];

	for (int i = 0; i < EVENT_LEVEL_MAX; i++) {
		snprintf(object, sizeof(object), "{\"message\":\"m\",\"level\":\"%s\"}", names[i]);
		CHECK_STR(text_of(object), "m");
		CHECK_INT(e.level, i);
	}
}

TEST(escapes_become_their_characters)
{
	CHECK_STR(text_of("{\"message\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}"), "\"\\/\b\f\n\r\t");
	CHECK_STR(text_of("{\"message\":\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\\udbff\\udfff\"}"),
		  "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf");
	CHECK_STR(text_of("{\"message\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"}"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f");
	CHECK_STR(fields_of("{\"\\u006dessage\":\"m\",\"fields\":{\"\\u0061_1\":\"=\\n\"}}"), "a_1==\n|");
}

TEST(anything_else_is_refused)
{
	static const char *const bad[] = {
		"", "{", "{}", "[]", "\"message\"", "{\"message\"}", "{\"message\":}", "{\"message\":\"m\"", "{\"message\":\"m\",}",
		"{\"message\":\"m\"}x", "{\"message\":\"m\"}{}", "{,\"message\":\"m\"}", "{\"message\" \"m\"}", "{'message':'m'}",
		"{\"message\":\"m\"} // no", "{message:\"m\"}", "{\"message\":null}", "{\"message\":1}", "{\"message\":{}}",
		"{\"level\":\"info\"}", "{\"text\":\"m\"}", "{\"message\":\"m\",\"kind\":\"state\"}", "{\"message\":\"m\",\"source\":\"disk\"}",
		"{\"message\":\"m\",\"message\":\"m\"}", "{\"message\":\"m\",\"level\":\"info\",\"level\":\"info\"}",
		"{\"message\":\"m\",\"fields\":{},\"fields\":{}}", "{\"Message\":\"m\"}", "{\"messag\":\"m\"}", "{\"messages\":\"m\"}",
		"{\"message\":\"m\",\"level\":\"Info\"}", "{\"message\":\"m\",\"level\":\"warn\"}", "{\"message\":\"m\",\"level\":4}",
		"{\"message\":\"m\",\"level\":\"\"}", "{\"message\":\"m\",\"fields\":[]}", "{\"message\":\"m\",\"fields\":null}",
		"{\"message\":\"m\",\"fields\":{\"a\":null}}", "{\"message\":\"m\",\"fields\":{\"a\":[1]}}",
		"{\"message\":\"m\",\"fields\":{\"a\":{}}}", "{\"message\":\"m\",\"fields\":{\"a\":1,\"a\":2}}",
		"{\"message\":\"m\",\"fields\":{\"a\":1,\"\\u0061\":2}}", "{\"message\":\"m\",\"fields\":{\"a\":1,}}",
		"{\"message\":\"m\",\"fields\":{\"a\":01}}", "{\"message\":\"m\",\"fields\":{\"a\":1.}}", "{\"message\":\"m\",\"fields\":{\"a\":.5}}",
		"{\"message\":\"m\",\"fields\":{\"a\":-}}", "{\"message\":\"m\",\"fields\":{\"a\":+1}}", "{\"message\":\"m\",\"fields\":{\"a\":1e}}",
		"{\"message\":\"m\",\"fields\":{\"a\":1e+}}", "{\"message\":\"m\",\"fields\":{\"a\":NaN}}", "{\"message\":\"m\",\"fields\":{\"a\":0x1}}",
		"{\"message\":\"m\",\"fields\":{\"a\":tru}}", "{\"message\":\"m\",\"fields\":{\"a\":truely}}", "{\"message\":\"m\",\"fields\":{\"a\":1 2}}",
		"{\"message\":\"m\",\"fields\":{\"a\":- 1}}",
		"{\"message\":\"tab\there\"}", "{\"message\":\"line\nhere\"}", "{\"message\":\"\\x41\"}", "{\"message\":\"\\\"}", "{\"message\":\"\\",
		"{\"message\":\"\\u004\"}", "{\"message\":\"\\u004g\"}", "{\"message\":\"\\u00\"}", "{\"message\":\"\\u0000\"}",
		"{\"message\":\"m\",\"fields\":{\"a\":\"\\u0000\"}}", "{\"message\":\"\\ud83d\"}", "{\"message\":\"\\ude00\"}",
		"{\"message\":\"\\ud83d\\n\"}", "{\"message\":\"\\ud83d\\ud83d\"}", "{\"message\":\"\\ud83dude00\"}", "{\"message\":\"\\ud83d\\u0041\"}",
		"{\"message\":\"\xff\"}", "{\"message\":\"\xc0\x80\"}", "{\"message\":\"\xed\xa0\x80\"}", "{\"message\":\"\xe2\x82\"}",
		"{\"message\":\"\xf4\x90\x80\x80\"}", "\xef\xbb\xbf{\"message\":\"m\"}", "{\"message\":\"m\"}\v",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_STR(reads(bad[i], strlen(bad[i])) ? bad[i] : "", "");
	CHECK(!reads("{\"message\":\"a\0b\"}", 17));
	CHECK(!reads("{\"message\":\"m\"}\0", 16));
}

TEST(every_beginning_of_an_object_is_refused)
{
	static const char whole[] = "{\"message\":\"\\ud83d\\ude00\",\"fields\":{\"a\":-1.5e-3,\"b\":true},\"level\":\"error\"}";

	for (size_t i = 0; i < strlen(whole); i++)
		CHECK(!reads(whole, i));
	CHECK(reads(whole, strlen(whole)));
}

TEST(a_key_is_one_that_event_add_keeps)
{
	static const char *const keys[] = {"a", "z9_", "a__", "_a", "9a", "A", "aB", "a-b", "a b", "", "a=", "\xc3\xa9", "`", "{",
					   "a23456789012345678901234567890ab", "a23456789012345678901234567890abc"};

	CHECK_INT(event_init(100), 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char object[100], field[100], record[EVENT_RECORD_MAX];
		struct event_head head;
		uint64_t seq;
		bool taken;

		snprintf(object, sizeof(object), "{\"message\":\"m\",\"fields\":{\"%s\":\"v\"}}", keys[i]);
		snprintf(field, sizeof(field), "%s=v", keys[i]);
		taken = reads(object, strlen(object));
		event_add(EVENT_INFO, EVENT_MESSAGE, "s", "m", 1, field, strlen(field) + 1);
		seq = event_last();
		CHECK(event_read(&seq, record) > 0);
		memcpy(&head, record, sizeof(head));
		if (strcmp(keys[i], "a=") != 0)		/* as a field it is another: key a, value =v */
			CHECK_INT(taken, head.fields_size == strlen(field) + 1);
		else
			CHECK(!taken);
	}
}

TEST(an_object_has_at_most_64_fields_and_8_kib)
{
	static char object[2 * EVENTJSON_MAX];
	char *p = object;

	p += sprintf(p, "{\"message\":\"m\",\"fields\":{");
	for (int i = 0; i < EVENTJSON_FIELDS_MAX; i++)
		p += sprintf(p, "%s\"k%d\":%d", i ? "," : "", i, i);
	strcpy(p, "}}");
	CHECK(reads(object, strlen(object)));
	strcpy(p, ",\"one\":1}}");
	CHECK(!reads(object, strlen(object)));

	p = object + sprintf(object, "{\"message\":\"");
	memset(p, 'x', EVENTJSON_MAX);
	strcpy(object + EVENTJSON_MAX - 2, "\"}");
	CHECK_INT(strlen(object), EVENTJSON_MAX);
	CHECK_STR(text_of(object) + EVENTJSON_MAX - 15, "x");
	memset(object + EVENTJSON_MAX - 2, 'x', 2);
	strcpy(object + EVENTJSON_MAX - 1, "\"}");
	CHECK(!reads(object, strlen(object)));
}

static struct datagram d;

static const char *said(const char *bytes, size_t size)
{
	static char out[EVENTJSON_MAX + 32];

	datagram_read(&d, bytes, size);
	snprintf(out, sizeof(out), "%d %zu %.*s", d.level, d.fields_size, (int)d.text_size, d.text);
	return out;
}

TEST(a_datagram_is_text_with_a_level_or_an_object)
{
	CHECK_STR(said("plain\r\n", 7), "1 0 plain");
	CHECK_STR(said("plain\0", 6), "1 0 plain");
	CHECK_STR(said("<4>slow\n", 8), "3 0 slow");
	CHECK_STR(said("<4>", 3), "3 0 ");
	CHECK_STR(said("<8>slow", 7), "1 0 <8>slow");
	CHECK_STR(said("", 0), "1 0 ");
	CHECK_STR(said("{\"message\":\"m\",\"level\":\"error\",\"fields\":{\"a\":1}}\n\0", 51), "4 4 m");
	CHECK_STR(said("<4>{\"message\":\"m\"}", 18), "3 0 {\"message\":\"m\"}");
}

TEST(what_is_not_an_event_object_in_full_is_text_as_it_stands)
{
	CHECK_STR(said("{\"msg\":\"m\"}", 11), "1 0 {\"msg\":\"m\"}");
	CHECK_STR(said("{\"message\":\"m\",\"level\":\"error\",\"x\":1}\n", 38), "1 0 {\"message\":\"m\",\"level\":\"error\",\"x\":1}");
	CHECK_STR(said("{ braces are text too }", 23), "1 0 { braces are text too }");
	CHECK_STR(said(" {\"message\":\"m\"}", 16), "1 0  {\"message\":\"m\"}");
}
