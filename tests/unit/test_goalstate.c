/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wireserver's goal state: what is taken from it, what is refused, and the health report that gives it back.
 */
/* links: cloud stages/lib init/lib */
/* libs: expat */
#include "stages/cloud/goalstate.h"
#include "test.h"

#define ID        "11111111-aaaa-4bbb-8ccc-222222222222"
#define INSTANCE  "33333333-dddd-4eee-8fff-444444444444._node0"
#define GOOD      "<GoalState><Version>2010-12-15</Version><Incarnation>7</Incarnation>" CONTAINER "</GoalState>"
#define CONTAINER "<Container><ContainerId>" ID "</ContainerId><RoleInstanceList><RoleInstance><InstanceId>" INSTANCE \
	"</InstanceId><State>Started</State></RoleInstance></RoleInstanceList></Container>"

static char error[200];
static struct goalstate state;

static int parse(const char *text)
{
	error[0] = '\0';
	memset(&state, 0, sizeof(state));
	return goalstate_parse(text, strlen(text), &state, error, sizeof(error));
}

static void check_good(const char *text)
{
	CHECK_INT(parse(text), 0);
	CHECK_STR(state.incarnation, "7");
	CHECK_STR(state.container_id, ID);
	CHECK_STR(state.instance_id, INSTANCE);
}

TEST(the_three_values_are_found)
{
	check_good(GOOD);
}

TEST(indentation_line_ends_and_a_byte_order_mark_do_not_matter)
{
	check_good("\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<GoalState>\r\n  <Incarnation>\r\n 7 </Incarnation>\r\n"
		   "<Machine><ExpectedState>Started</ExpectedState></Machine>\r\n" CONTAINER "\r\n</GoalState>\r\n");
}

TEST(elements_of_the_same_name_elsewhere_do_not_count)
{
	check_good("<GoalState><Machine><Incarnation>9</Incarnation><InstanceId>x</InstanceId></Machine>"
		   "<Incarnation>7</Incarnation>" CONTAINER "</GoalState>");
}

TEST(an_instance_id_of_another_shape_is_kept_as_it_is)
{
	CHECK_INT(parse("<GoalState><Incarnation>1</Incarnation><Container><ContainerId>" ID "</ContainerId><RoleInstanceList>"
			"<RoleInstance><InstanceId>a&amp;b &lt;c&gt;.MachineRole_IN_0</InstanceId></RoleInstance>"
			"</RoleInstanceList></Container></GoalState>"), 0);
	CHECK_STR(state.instance_id, "a&b <c>.MachineRole_IN_0");
}

static const struct {
	const char *text, *why;
} bad[] = {
	{"", "0 bytes, expected 1 to 65536"},
	{"<html><body>busy</body></html>", "Incarnation is missing"},
	{"<GoalState>" CONTAINER "</GoalState>", "Incarnation is missing"},
	{"<GoalState><Incarnation></Incarnation>" CONTAINER "</GoalState>", "Incarnation is missing"},
	{"<GoalState><Incarnation>-1</Incarnation>" CONTAINER "</GoalState>", "Incarnation is not a number"},
	{"<GoalState><Incarnation>123456789012345678901</Incarnation>" CONTAINER "</GoalState>", "Incarnation is too long"},
	{"<GoalState><Incarnation>1</Incarnation><Incarnation>2</Incarnation>" CONTAINER "</GoalState>",
	 "more than one Incarnation"},
	{"<GoalState><Incarnation><b>1</b></Incarnation>" CONTAINER "</GoalState>", "Incarnation has children"},
	{"<GoalState><Incarnation>7</Incarnation>", "line 1: no element found"},
	{"<GoalState><Incarnation>7</Incarnation><Container><ContainerId>x</ContainerId><RoleInstanceList><RoleInstance>"
	 "<InstanceId>i</InstanceId></RoleInstance></RoleInstanceList></Container></GoalState>", "ContainerId is not a GUID"},
	{"<GoalState><Incarnation>7</Incarnation><Container><ContainerId>" ID "</ContainerId></Container></GoalState>",
	 "InstanceId is missing"},
	{"<GoalState><Incarnation>7</Incarnation><Container><ContainerId>" ID "</ContainerId><RoleInstanceList><RoleInstance>"
	 "<InstanceId>i&#10;j</InstanceId></RoleInstance></RoleInstanceList></Container></GoalState>",
	 "InstanceId has control characters"},
	{"<!DOCTYPE g [<!ENTITY a \"aaaa\">]><GoalState><Incarnation>&a;</Incarnation></GoalState>", "document type refused"},
	{"<!DOCTYPE g SYSTEM \"http://evil/\"><GoalState/>", "document type refused"},
	{"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", "nested too deeply"},
	{"not xml", "line 1: syntax error"},
};

TEST(a_bad_goal_state_is_refused_with_a_reason)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_INT(parse(bad[i].text), -EBADMSG);
		CHECK_STR(error, bad[i].why);
		CHECK_STR(state.incarnation, "");
	}
}

TEST(two_role_instances_are_refused)
{
	CHECK_INT(parse("<GoalState><Incarnation>7</Incarnation><Container><ContainerId>" ID "</ContainerId><RoleInstanceList>"
			"<RoleInstance><InstanceId>a</InstanceId></RoleInstance>"
			"<RoleInstance><InstanceId>b</InstanceId></RoleInstance>"
			"</RoleInstanceList></Container></GoalState>"), -EBADMSG);
	CHECK_STR(error, "more than one InstanceId");
}

/* The text as UTF-16, little endian. */
static size_t widen(const char *text, bool mark, char *wide)
{
	size_t n = 0;

	if (mark)
		memcpy(wide, "\xff\xfe", n = 2);
	for (; *text; text++) {
		wide[n++] = *text;
		wide[n++] = '\0';
	}
	return n;
}

/* The host chooses the text, not how it is read. */
TEST(no_document_chooses_its_encoding)
{
	static const char *const declared[] = {"utf-16", "utf-16le", "iso-8859-1", "us-ascii"};
	char wide[4096], text[2048];

	for (int mark = 0; mark < 2; mark++) {
		size_t n = widen("<?xml version=\"1.0\" encoding=\"utf-16\"?>" GOOD, mark, wide);

		CHECK_INT(goalstate_parse(wide, n, &state, error, sizeof(error)), -EBADMSG);
		CHECK_STR(error, "not UTF-8");
		n = widen(GOOD, mark, wide);
		CHECK_INT(goalstate_parse(wide, n, &state, error, sizeof(error)), -EBADMSG);
		CHECK_STR(error, "not UTF-8");
	}
	/* What is declared changes nothing: it is read as UTF-8. */
	for (size_t i = 0; i < sizeof(declared) / sizeof(declared[0]); i++) {
		snprintf(text, sizeof(text), "<?xml version=\"1.0\" encoding=\"%s\"?><GoalState><Incarnation>7</Incarnation>"
			 "<!-- \xe4 -->" CONTAINER "</GoalState>", declared[i]);
		CHECK_INT(parse(text), -EBADMSG);
		CHECK_STR(error, "line 1: not well-formed (invalid token)");
	}
}

TEST(ready_gives_the_ids_back)
{
	char text[HEALTH_SIZE_MAX];

	CHECK_INT(parse(GOOD), 0);
	CHECK_INT(health_format(&state, NULL, text, sizeof(text)), strlen(text));
	CHECK_STR(text, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
		  "<Health><GoalStateIncarnation>7</GoalStateIncarnation><Container><ContainerId>" ID "</ContainerId>"
		  "<RoleInstanceList><Role><InstanceId>" INSTANCE "</InstanceId><Health><State>Ready</State></Health></Role>"
		  "</RoleInstanceList></Container></Health>\n");
}

/* The description between its tags; it must be one. */
static const char *description_of(char *text)
{
	char *from = strstr(text, "<Description>"), *to = strstr(text, "</Description>");

	CHECK(from && to && strstr(text, "<State>NotReady</State>"));
	*to = '\0';
	return from + strlen("<Description>");
}

TEST(a_description_is_escaped)
{
	char text[HEALTH_SIZE_MAX];

	CHECK_INT(parse(GOOD), 0);
	CHECK(health_format(&state, "a<b>&\"c\"\n\x1b[2J\x7f", text, sizeof(text)) > 0);
	CHECK_STR(description_of(text), "a&lt;b&gt;&amp;\"c\"  [2J ");
}

TEST(a_description_is_cut_at_a_whole_character)
{
	char text[HEALTH_SIZE_MAX], long_text[1024];

	CHECK_INT(parse(GOOD), 0);
	memset(long_text, 'x', 511);
	strcpy(long_text + 511, "\xc3\xa4 and more");
	CHECK(health_format(&state, long_text, text, sizeof(text)) > 0);
	CHECK_INT(strlen(description_of(text)), 511);
}

TEST(a_description_ends_before_bytes_that_are_no_utf8)
{
	static const char *const bytes[] = {"ok\xff z", "ok\xc3", "ok\xc0\x80", "ok\xed\xa0\x80", "ok\xf4\x90\x80\x80",
					    "ok\xef\xbf\xbf"};
	char text[HEALTH_SIZE_MAX];

	CHECK_INT(parse(GOOD), 0);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		CHECK(health_format(&state, bytes[i], text, sizeof(text)) > 0);
		CHECK_STR(description_of(text), "ok");
	}
}

TEST(the_longest_report_fits_and_a_small_buffer_is_refused)
{
	char text[HEALTH_SIZE_MAX], description[1024], id[sizeof(state.instance_id)];

	CHECK_INT(parse(GOOD), 0);
	memset(description, '&', sizeof(description));
	description[sizeof(description) - 1] = '\0';
	memset(id, '&', sizeof(id));
	id[sizeof(id) - 1] = '\0';
	memcpy(state.instance_id, id, sizeof(id));
	CHECK(health_format(&state, description, text, sizeof(text)) > 0);
	CHECK_INT(health_format(&state, description, text, 100), -ENOBUFS);
}
