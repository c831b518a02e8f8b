/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scanner that every reader of JSON stands on: its tokens, its limits, and errors that name their place.
 */
/* links: init/lib */
#include "init/lib/json.h"
#include "test.h"

static char seen[4096];
static struct json_scan scan;

/* One letter a token with its depth, and the text of those that have one. */
static int record(struct json_scan *s, const struct json_token *token)
{
	static const char letters[] = "b{[}ksntf0c";
	size_t n = strlen(seen);
	bool text = token->kind == JSON_KEY || token->kind == JSON_STRING || token->kind == JSON_NUMBER ||
		    token->kind == JSON_COMMENT;

	CHECK(token->depth <= s->depth_max);
	if (token->kind == JSON_BEGIN)
		return 0;
	snprintf(seen + n, sizeof(seen) - n, "%c%u", letters[token->kind], token->depth);
	if (text) {
		n = strlen(seen);
		snprintf(seen + n, sizeof(seen) - n, "(%.*s)", (int)token->size, token->text);
	}
	return 0;
}

static int scan_as(const char *text, size_t size, unsigned flags, unsigned depth_max)
{
	char *copy = malloc(size ? size : 1);	/* of the exact size, so that one byte too far is seen */
	int r;

	memcpy(copy, text, size);
	seen[0] = '\0';
	scan = (struct json_scan){.text = copy, .size = size, .flags = flags, .depth_max = depth_max, .take = record};
	r = json_scan(&scan);
	free(copy);
	CHECK((r == 0) == !scan.error[0]);
	return r;
}

TEST(every_token_is_reported_in_its_order_with_its_depth)
{
	static const char text[] = " {\"a\": [1, -2.5e+3, \"x\\n\"], \"\": {}, \"b\": [[], true, false, null]} ";

	CHECK_INT(scan_as(text, strlen(text), 0, 3), 0);
	CHECK_STR(seen, "{0k1(a)[1n2(1)n2(-2.5e+3)s2(x\\n)}1k1(){1}1k1(b)[1[2}2t2f202}1}0");
	CHECK_INT(scan_as("7", 1, 0, 0), 0);
	CHECK_STR(seen, "n0(7)");
}

TEST(comments_are_tokens_only_where_they_are_allowed)
{
	static const char text[] = "/* a\n*/{ // b\n\"k\" /**/ : /*c*/ 1 } // d";

	CHECK_INT(scan_as(text, strlen(text), JSON_COMMENTS, 1), 0);
	CHECK_STR(seen, "c0(/* a\n*/){0c1(// b)k1(k)c1(/**/)c1(/*c*/)n1(1)}0c0(// d)");
	CHECK_INT(scan.line, 3);
	CHECK_INT(scan_as(text, strlen(text), 0, 1), -EINVAL);
	CHECK_STR(scan.error, "a value expected, found '/'");
	CHECK_INT(scan_as("{} /*", 5, JSON_COMMENTS, 1), -EINVAL);
	CHECK_INT(scan_as("{} /*/", 6, JSON_COMMENTS, 1), -EINVAL);
	CHECK_INT(scan_as("{} /", 4, JSON_COMMENTS, 1), -EINVAL);
}

TEST(an_error_names_its_place)
{
	CHECK_INT(scan_as("{\n \"a\": 1,\n  \"b\" 2}", 19, 0, 1), -EINVAL);
	CHECK_STR(scan.error, "':' expected, found '2'");
	CHECK_INT(scan.line, 3);
	CHECK_INT(scan.at - scan.line_at, 6);
	CHECK_INT(scan_as("[\"a\n", 4, 0, 1), -EINVAL);
	CHECK_STR(scan.error, "string without an end");
	CHECK_INT(scan.at, 3);
	CHECK_INT(scan_as("[\x01", 2, 0, 1), -EINVAL);
	CHECK_STR(scan.error, "a value expected, found byte 0x01");
}

TEST(an_error_about_a_secret_text_quotes_no_byte_of_it)
{
	static const char *const texts[] = {"{\"a\": Q", "{Q", "[1 Q", "{\"a\"Q", "Q", "[-Q", "[\"\\Q", "[1]Q", "[\"\xff"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CHECK_INT(scan_as(texts[i], strlen(texts[i]), JSON_SECRET, 1), -EINVAL);
		CHECK(!strchr(scan.error, 'Q'));
	}
}

TEST(depth_is_bounded_and_objects_and_arrays_close_as_they_were_opened)
{
	char text[2 * JSON_DEPTH_MAX + 3] = "";

	for (unsigned i = 0; i < JSON_DEPTH_MAX; i++) {
		text[i] = '[';
		text[2 * JSON_DEPTH_MAX - 1 - i] = ']';
	}
	CHECK_INT(scan_as(text, 2 * JSON_DEPTH_MAX, 0, JSON_DEPTH_MAX), 0);
	CHECK_INT(scan_as(text, 2 * JSON_DEPTH_MAX, 0, JSON_DEPTH_MAX - 1), -EINVAL);
	CHECK_STR(scan.error, "nested too deeply: more than 63 levels of objects and arrays");
	CHECK_INT(scan_as("[{]}", 4, 0, 2), -EINVAL);
	CHECK_INT(scan_as("[1}", 3, 0, 2), -EINVAL);
	CHECK_INT(scan_as("{\"a\":[{}],\"b\":1}", 16, 0, 3), 0);
}

static int decode(struct json_scan *s, const struct json_token *token)
{
	if (token->kind != JSON_STRING)
		return 0;
	CHECK_INT(token->escapes, memchr(token->text, '\\', token->size) != NULL);
	((char *)s->with)[json_decode(token, s->with)] = '\0';
	return 0;
}

TEST(a_string_is_decoded)
{
	static const char text[] = "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83d\\ude00\xc3\xa4\"";
	char out[64];

	scan = (struct json_scan){.text = text, .size = strlen(text), .take = decode, .with = out};
	CHECK_INT(json_scan(&scan), 0);
	CHECK_STR(out, "\"\\/\b\f\n\r\t\xc3\xa4\xf0\x9f\x98\x80\xc3\xa4");
}

static int refuse(struct json_scan *s, const struct json_token *token)
{
	return token->kind == JSON_NUMBER ? json_fail(s, "no numbers") : token->kind == JSON_TRUE ? -ENOMEM : 0;
}

TEST(the_callback_ends_the_scan)
{
	static const char text[] = "[\"a\", 1, true]", other[] = "[true]";

	scan = (struct json_scan){.text = text, .size = strlen(text), .depth_max = 1, .take = refuse};
	CHECK_INT(json_scan(&scan), -EINVAL);
	CHECK_STR(scan.error, "no numbers");
	CHECK_INT(scan.at, 6);
	scan = (struct json_scan){.text = other, .size = strlen(other), .depth_max = 1, .take = refuse};
	CHECK_INT(json_scan(&scan), -ENOMEM);
}
