/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The official mustache specification, read from its own JSON files where they are at hand, and our own cases: what
 * the specification leaves open, where we are stricter, and how errors are told.
 */
/* links: stages/config stages/lib */
/* libs: json-c mbedtls */
/* libs: json-c */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "stages/config/decodeview.h"
#include "stages/config/template.h"
#include "test.h"

static int partial_of(void *context, const char *name, char **ret_text, size_t *ret_size)
{
	struct json_object *partials = context, *value;

	if (!partials || !json_object_object_get_ex(partials, name, &value))
		return 0;
	*ret_text = strdup(json_object_get_string(value));
	*ret_size = strlen(*ret_text);
	return 1;
}

static char rendered[65536];
static char why[512];

/* Renders into `rendered`; on failure the formatted error is in `why`. */
static int render(const char *text, struct json_object *document, struct json_object *partials,
		  enum template_values values)
{
	struct template_request request = {
		.name = "t",
		.text = text,
		.size = strlen(text),
		.document = document,
		.values = values,
		.partial = partial_of,
		.context = partials,
	};
	struct template_output out = {0};
	struct template_error error;
	int r = template_render(&request, &out, &error);

	rendered[0] = why[0] = '\0';
	if (r == 0)
		snprintf(rendered, sizeof(rendered), "%.*s", (int)out.size, out.bytes ? out.bytes : "");
	else
		template_error_format(&error, why, sizeof(why));
	template_release(&out);
	return r;
}

static int render_json(const char *text, const char *json, enum template_values values)
{
	struct json_object *document = json_tokener_parse(json);
	int r = render(text, document, NULL, values);

	json_object_put(document);
	return r;
}

static const char *get_text(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ? json_object_get_string(value) : "";
}

/* The specification leaves the entity for a quote open in words and writes &quot; in its examples; ours is &#34;. */
static void quotes_as_numbers(const char *from, char *to, size_t size)
{
	size_t n = 0;

	while (*from && n + 6 < size) {
		if (strncmp(from, "&quot;", 6) == 0) {
			memcpy(to + n, "&#34;", 5);
			n += 5;
			from += 6;
		} else {
			to[n++] = *from++;
		}
	}
	to[n] = '\0';
}

static int spec_failures(struct json_object *spec, char *first, size_t first_size, size_t *ret_count)
{
	struct json_object *tests;
	int failures = 0;

	json_object_object_get_ex(spec, "tests", &tests);
	for (size_t i = 0; i < json_object_array_length(tests); i++) {
		struct json_object *test = json_object_array_get_idx(tests, i), *data = NULL, *partials = NULL;
		char expected[8192];

		json_object_object_get_ex(test, "data", &data);
		json_object_object_get_ex(test, "partials", &partials);
		quotes_as_numbers(get_text(test, "expected"), expected, sizeof(expected));
		++*ret_count;
		if (render(get_text(test, "template"), data, partials, TEMPLATE_ANY) == 0 && strcmp(rendered, expected) == 0)
			continue;
		if (failures++ == 0)
			snprintf(first, first_size, "%.60s: expected \"%.80s\", got \"%.80s\" %.80s",
				 get_text(test, "name"), expected, rendered, why);
	}
	return failures;
}

static void run_spec(const char *file)
{
	const char *folder = getenv("GANTRY_TEST_DATA");
	char path[512], first[512] = "";
	struct json_object *spec;
	size_t count = 0;

	if (!folder)
		SKIP("GANTRY_TEST_DATA is not set");
	snprintf(path, sizeof(path), "%s/mustache-spec/%s", folder, file);
	spec = json_object_from_file(path);
	if (!spec)
		SKIP("the specification is not at hand");
	(void)spec_failures(spec, first, sizeof(first), &count);
	json_object_put(spec);
	CHECK_STR(first, "");
	CHECK(count > 0);
}

TEST(mustache_specification_comments) { run_spec("comments.json"); }
TEST(mustache_specification_delimiters) { run_spec("delimiters.json"); }
TEST(mustache_specification_interpolation) { run_spec("interpolation.json"); }
TEST(mustache_specification_inverted) { run_spec("inverted.json"); }
TEST(mustache_specification_partials) { run_spec("partials.json"); }
TEST(mustache_specification_sections) { run_spec("sections.json"); }

TEST(html_is_escaped_as_the_old_renderer_did)
{
	CHECK_INT(render_json("{{x}}|{{{x}}}|{{&x}}", "{\"x\":\"<a href='b'>\\\"&\"}", TEMPLATE_PRINTABLE), 0);
	CHECK_STR(rendered, "&lt;a href=&#39;b&#39;&gt;&#34;&amp;|<a href='b'>\"&|<a href='b'>\"&");
}

TEST(a_missing_key_is_the_empty_text)
{
	CHECK_INT(render_json("[{{a}}{{b.c}}{{#d}}x{{/d}}]", "{\"b\":{}}", TEMPLATE_PRINTABLE), 0);
	CHECK_STR(rendered, "[]");
}

TEST(booleans_and_numbers_are_printed_as_in_the_document)
{
	CHECK_INT(render_json("{{a}} {{b}} {{c}} {{d}} {{e}}",
			      "{\"a\":true,\"b\":false,\"c\":18446744073709551615,\"d\":-9223372036854775808,\"e\":1.50}",
			      TEMPLATE_PRINTABLE), 0);
	CHECK_STR(rendered, "true false 18446744073709551615 -9223372036854775808 1.50");
}

TEST(empty_values_are_false_in_sections)
{
	CHECK_INT(render_json("{{^a}}a{{/a}}{{^b}}b{{/b}}{{^c}}c{{/c}}{{^d}}d{{/d}}{{^e}}e{{/e}}{{^f}}f{{/f}}"
			      "{{#g}}g{{/g}}",
			      "{\"a\":null,\"b\":false,\"c\":0,\"d\":\"\",\"e\":[],\"f\":0.0,\"g\":{}}",
			      TEMPLATE_PRINTABLE), 0);
	CHECK_STR(rendered, "abcdefg");
}

TEST(names_of_the_hub_document_work)
{
	CHECK_INT(render_json("{{rclone.__version}} {{b.config#base64}}",
			      "{\"rclone\":{\"__version\":\"v1\"},\"b\":{\"config#base64\":\"aGk=\"}}",
			      TEMPLATE_PRINTABLE), 0);
	CHECK_STR(rendered, "v1 aGk=");
}

TEST(a_control_character_in_a_value_is_refused)
{
	CHECK_INT(render_json("a\n b {{x.y}}", "{\"x\":{\"y\":\"1\\nroot=yes\"}}", TEMPLATE_PRINTABLE), -EBADMSG);
	CHECK_STR(why, "t:2:4: x.y: value has a control character (0x0a); a raw tag would take it");
	CHECK_INT(render_json("{{{x}}}", "{\"x\":\"a\\u001b[2J\"}", TEMPLATE_PRINTABLE), -EBADMSG);
	CHECK_STR(why, "t:1:1: x: value has a control character (0x1b)");
}

TEST(a_raw_tag_takes_whole_lines)
{
	CHECK_INT(render_json("{{{x}}}", "{\"x\":\"[[b]]\\n\\tc\"}", TEMPLATE_PRINTABLE), 0);
	CHECK_STR(rendered, "[[b]]\n\tc");
}

TEST(an_object_or_list_is_no_text)
{
	CHECK_INT(render_json("{{x}}", "{\"x\":{\"secret\":1}}", TEMPLATE_PRINTABLE), -EBADMSG);
	CHECK_STR(why, "t:1:1: x: is an object, not a text");
	CHECK_INT(render_json("{{x}}", "{\"x\":[1]}", TEMPLATE_PRINTABLE), -EBADMSG);
	CHECK_STR(why, "t:1:1: x: is a list, not a text");
}

static const struct {
	const char *text, *why;
} bad[] = {
	{"a{{b", "t:1:2: tag is not closed by }}"},
	{"{{{b}}", "t:1:1: tag is not closed by }}}"},
	{"x\n  {{#a}}\ny", "t:2:3: section a has no end"},
	{"{{/a}}", "t:1:1: end of section a that was not begun"},
	{"{{#a}}{{#b}}{{/a}}{{/b}}", "t:1:13: end of section a inside section b"},
	{"{{}}", "t:1:1: tag has no name"},
	{"{{ }}", "t:1:1: tag has no name"},
	{"{{#}}{{/}}", "t:1:1: tag has no name"},
	{"{{a b}}", "t:1:1: white space or control character in a name"},
	{"{{a..b}}", "t:1:1: empty part in the name a..b"},
	{"{{.a}}", "t:1:1: empty part in the name .a"},
	{"{{a.}}", "t:1:1: empty part in the name a."},
	{"{{=a=}}", "t:1:1: two delimiters of 1 to 16 bytes expected"},
	{"{{=a b c=}}", "t:1:1: bad delimiter"},
	{"{{<a}}", "t:1:1: < tags are not supported"},
	{"{{$a}}", "t:1:1: $ tags are not supported"},
	{"{{*a}}", "t:1:1: * tags are not supported"},
};

TEST(a_syntax_error_is_told_with_its_place)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_INT(render_json(bad[i].text, "{}", TEMPLATE_PRINTABLE), -EBADMSG);
		CHECK_STR(why, bad[i].why);
	}
}

TEST(an_error_in_a_partial_names_the_partial)
{
	struct json_object *partials = json_tokener_parse("{\"p\":\"ok\\n{{#x}}\"}");

	CHECK_INT(render("{{>p}}", NULL, partials, TEMPLATE_PRINTABLE), -EBADMSG);
	CHECK_STR(why, "p:2:1: section x has no end");
	json_object_put(partials);
}

TEST(a_partial_that_includes_itself_is_refused)
{
	struct json_object *partials = json_tokener_parse("{\"p\":\"a{{>p}}\"}");

	CHECK_INT(render("{{>p}}", NULL, partials, TEMPLATE_PRINTABLE), -ELOOP);
	CHECK_STR(why, "p:1:2: p: partials are nested too deeply");
	json_object_put(partials);
}

TEST(sections_nested_too_deeply_are_refused)
{
	char text[2048] = "";

	for (int i = 0; i < TEMPLATE_DEPTH_MAX + 1; i++)
		strcat(text, "{{#a}}");
	CHECK_INT(render_json(text, "{}", TEMPLATE_PRINTABLE), -ELOOP);
}

TEST(output_is_bounded)
{
	/* 20 lists of 20 within each other: 20^6 lines. */
	char json[512] = "{\"a\":[", text[256] = "";

	for (int i = 0; i < 20; i++)
		strcat(json, i ? ",1" : "1");
	strcat(json, "]}");
	for (int i = 0; i < 6; i++)
		strcat(text, "{{#a}}");
	strcat(text, "some text");
	for (int i = 0; i < 6; i++)
		strcat(text, "{{/a}}");
	CHECK_INT(render_json(text, json, TEMPLATE_PRINTABLE), -EFBIG);
}

TEST(base64_keys_are_decoded_in_the_view_only)
{
	struct json_object *document = json_tokener_parse(
		"{\"b\":{\"config#base64\":\"aGVsbG8Kd29ybGQhCg==\",\"n\":[{\"x#base64\":\"\"}]},\"z\":null}");
	struct json_object *view = NULL;
	char error[200] = "";

	CHECK_INT(decode_view(document, &view, error, sizeof(error)), 0);
	CHECK_STR(json_object_to_json_string_ext(view, JSON_C_TO_STRING_PLAIN),
		  "{\"b\":{\"config\":\"hello\\nworld!\\n\",\"n\":[{\"x\":\"\"}]},\"z\":null}");
	CHECK_INT(render("{{b.config}}", view, NULL, TEMPLATE_ANY), 0);
	CHECK_STR(rendered, "hello\nworld!\n");
	CHECK_INT(render("{{b.config}}", document, NULL, TEMPLATE_ANY), 0);
	CHECK_STR(rendered, "");
	json_object_put(view);
	json_object_put(document);
}

static void check_view(const char *json, const char *expected)
{
	struct json_object *document = json_tokener_parse(json), *view = NULL;
	char error[200] = "";

	CHECK_INT(decode_view(document, &view, error, sizeof(error)), -EBADMSG);
	CHECK_STR(error, expected);
	json_object_put(document);
}

TEST(what_is_not_base64_is_refused_by_key)
{
	check_view("{\"a\":{\"c#base64\":\"aGk\"}}", "c#base64: not base64");
	check_view("{\"c#base64\":\"aG k=\"}", "c#base64: not base64");
	check_view("{\"c#base64\":\"aGl=\"}", "c#base64: not base64");
	check_view("{\"c#base64\":\"a===\"}", "c#base64: not base64");
	check_view("{\"c#base64\":5}", "c#base64: not base64");
	check_view("{\"c\":1,\"c#base64\":\"aGk=\"}", "c#base64: there is a key c too");
}
