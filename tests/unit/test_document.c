/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON from somebody else: what is exactly RFC 8259 is taken, everything else refused with its place, and nothing is
 * changed on the way.
 */
/* links: stages/lib init/lib */
/* libs: json-c */
/* libs: json-c mbedtls */
#include "init/lib/base64.h"
/* libs: json-c */
#include "stages/lib/document.h"
#include "test.h"

static char error[200];

static int parse_bytes(const char *bytes, size_t size)
{
	struct json_object *document = NULL;
	int r;

	error[0] = '\0';
	r = document_parse(bytes, size, &document, error, sizeof(error));
	CHECK((r == 0) == (document != NULL));
	json_object_put(document);
	return r;
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static const char *const good[] = {
	"{}",
	" \t\r\n{ } \n",
	"{\"a\":null,\"b\":true,\"c\":false,\"d\":[],\"e\":{},\"f\":\"\"}",
	"{\"a\":0,\"b\":-0,\"c\":1.5,\"d\":-1e9,\"e\":1E-2,\"f\":0.1e+3}",
	"{\"a\":18446744073709551615,\"b\":-9223372036854775808}",
	"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\"}",
	"{\"\xc3\xa4\":\"\xf0\x9f\x98\x80 \xef\xbf\xbf\"}",
	"{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}",
	"{\"x:y\":\"a:b\",\"\":1}",
};

TEST(good_documents_are_taken)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (parse(good[i]) < 0)
			FAIL("%s: %s", good[i], error);
	}
}

#define ZEROS  "00000000000000000000"
#define NINES  "99999999999999999999"

/* Places where a number can be, and numbers before and behind it. */
TEST(an_integer_of_any_size_keeps_its_text)
{
	static const char *const same[] = {
		"{\"a\":18446744073709551616}",
		"{\"a\":-9223372036854775809,\"b\":-9223372036854775808,\"c\":18446744073709551615}",
		"{\"wei\":20" "000000000000000000}",
		"{\"a\":[1,[" NINES ",null,{\"b\":" NINES "0,\"c\":\"" NINES "\"}," NINES "1],true,-" NINES "],\"z\":0}",
		"{\"a\":{},\"b\":[],\"c\":{\"d\":[[],{}]},\"e\":" NINES ",\"f\":1.5,\"g\":false,\"h\":" NINES "2}",
		"{\"a\":" NINES NINES NINES "99999999999999999}",	/* 256 bits and more */
		"{\"a\":1" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "000000}",
		"{\"a\":-1" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "00000}",
	};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct json_object *document = NULL;

		CHECK_INT(document_parse(same[i], strlen(same[i]), &document, error, sizeof(error)), 0);
		CHECK_STR(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN), same[i]);
		json_object_put(document);
	}
}

TEST(many_large_integers_are_each_in_their_place)
{
	size_t size = 0, room = 1 << 20;
	char *text = malloc(room);
	struct json_object *document = NULL;

	size += (size_t)snprintf(text, room, "{\"a\":[");
	for (int i = 0; i < 5000; i++)
		size += (size_t)snprintf(text + size, room - size, "%s%d,{\"b\":" NINES "%04d}", i ? "," : "", i, i);
	size += (size_t)snprintf(text + size, room - size, "]}");
	CHECK_INT(document_parse(text, size, &document, error, sizeof(error)), 0);
	CHECK_STR(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN), text);
	json_object_put(document);
	free(text);
}

static const struct {
	const char *text, *why;
} bad[] = {
	{"", "empty"},
	{"  ", "empty"},
	{"[]", "not a JSON object"},
	{"\"a\"", "not a JSON object"},
	{"\xef\xbb\xbf{}", "not a JSON object"},
	{"{", "line 1 column 2: ends too early: a key in quotes expected"},
	{"{\"a\"", "line 1 column 5: ends too early: ':' expected"},
	{"{\"a\":", "line 1 column 6: ends too early: a value expected"},
	{"{\"a\":1", "line 1 column 7: ends too early: ',' or '}' expected"},
	{"{\n \"a\":1,\n}", "line 3 column 1: comma before '}'"},
	{"{\"a\":[1,]}", "line 1 column 9: comma before ']'"},
	{"{\"a\":1}x", "line 1 column 8: bytes after the JSON value"},
	{"{}{}", "line 1 column 3: bytes after the JSON value"},
	{"{'a':1}", "line 1 column 2: a key in quotes expected"},
	{"{a:1}", "line 1 column 2: a key in quotes expected"},
	{"{\"a\" 1}", "line 1 column 6: ':' expected"},
	{"{\"a\":1 \"b\":2}", "line 1 column 8: ',' or '}' expected"},
	{"{/**/}", "line 1 column 2: a key in quotes expected"},
	{"{\"a\":01}", "line 1 column 6: number with a leading zero"},
	{"{\"a\":-01}", "line 1 column 7: number with a leading zero"},
	{"{\"a\":+1}", "line 1 column 6: a value expected"},
	{"{\"a\":.5}", "line 1 column 6: a value expected"},
	{"{\"a\":1.}", "line 1 column 8: a digit expected"},
	{"{\"a\":1e}", "line 1 column 8: a digit expected"},
	{"{\"a\":-}", "line 1 column 7: a digit expected"},
	{"{\"a\":NaN}", "line 1 column 6: a value expected"},
	{"{\"a\":Infinity}", "line 1 column 6: a value expected"},
	{"{\"a\":True}", "line 1 column 6: a value expected"},
	{"{\"a\":1" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "0000000}", "line 1 column 6: number is too long"},
	{"{\"a\":-1" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "000000}", "line 1 column 6: number is too long"},
	{"{\"a\":1." ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "000000}", "line 1 column 6: number is too long"},
	{"{\"a\":\"\t\"}", "line 1 column 7: control character in a string"},
	{"{\"a\":\"\\x41\"}", "line 1 column 7: unknown escape in a string"},
	{"{\"a\":\"\\u12g4\"}", "line 1 column 7: \\u without four hex digits in a string"},
	{"{\"a\":\"\\u0000\"}", "line 1 column 7: NUL in a string"},
	{"{\"a\\u0000b\":1}", "line 1 column 4: NUL in a string"},
	{"{\"a\":\"\\ud83d\"}", "line 1 column 7: half of a surrogate pair in a string"},
	{"{\"a\":\"\\ude00\"}", "line 1 column 7: half of a surrogate pair in a string"},
	{"{\"a\":\"\xff\"}", "line 1 column 7: string is not UTF-8"},
	{"{\"a\":\"\xc0\x80\"}", "line 1 column 7: string is not UTF-8"},
	{"{\"a\":\"\xed\xa0\x80\"}", "line 1 column 7: string is not UTF-8"},
	{"{\"a\":\"\xf4\x90\x80\x80\"}", "line 1 column 7: string is not UTF-8"},
	{"{\"a\":\"\xc3\"}", "line 1 column 7: string is not UTF-8"},
	{"{\"a\":1,\"a\":2}", "a key occurs twice in one object"},
	{"{\"a\":1,\"\\u0061\":2}", "a key occurs twice in one object"},
	{"{\"b\":[{\"a\":{\"c\":1},\"a\":2}]}", "a key occurs twice in one object"},
};

TEST(bad_documents_are_refused_with_their_place)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_INT(parse(bad[i].text), -EBADMSG);
		CHECK_STR(error, bad[i].why);
	}
}

TEST(a_nul_byte_is_refused_anywhere)
{
	CHECK_INT(parse_bytes("{}\0", 3), -EBADMSG);
	CHECK_INT(parse_bytes("{\"a\":\"\0\"}", 9), -EBADMSG);
	CHECK_INT(parse_bytes("\0{}", 3), -EBADMSG);
}

TEST(depth_is_bounded)
{
	char text[4096] = "{\"a\":";

	for (int i = 0; i < DOCUMENT_DEPTH_MAX - 1; i++)
		strcat(text, "[");
	for (int i = 0; i < DOCUMENT_DEPTH_MAX - 1; i++)
		strcat(text, "]");
	strcat(text, "}");
	CHECK_INT(parse(text), 0);
	strcpy(text, "{\"a\":");
	for (int i = 0; i < 3000; i++)
		strcat(text, "[");
	CHECK_INT(parse(text), -EBADMSG);
	CHECK_STR(error, "line 1 column 37: nested too deeply: more than 32 levels of objects and arrays");
}

TEST(an_error_holds_no_byte_of_a_value)
{
	CHECK_INT(parse("{\"key\":\"hunter2\" \"next\"}"), -EBADMSG);
	CHECK(!strstr(error, "hunter2") && !strstr(error, "key"));
}

TEST(a_path_leads_through_objects_only)
{
	static const char text[] = "{\"a\":{\"b\":{\"c\":\"x\"},\"n\":null},\"l\":[{\"b\":1}]}";
	struct json_object *document = NULL, *value = NULL;

	CHECK_INT(document_parse(text, strlen(text), &document, error, sizeof(error)), 0);
	CHECK_INT(document_get(document, "a.b.c", &value), 1);
	CHECK_STR(json_object_get_string(value), "x");
	CHECK_INT(document_get(document, "a.n", &value), 1);
	CHECK(value == NULL);
	CHECK_INT(document_get(document, "a.n.x", &value), 0);
	CHECK_INT(document_get(document, "a.x", &value), 0);
	CHECK_INT(document_get(document, "l.b", &value), 0);
	CHECK_INT(document_get(document, "", &value), 0);
	CHECK_INT(document_get(document, "a.", &value), 0);
	CHECK_INT(document_get(document, ".a", &value), 0);
	json_object_put(document);
}
