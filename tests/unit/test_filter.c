/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arguments of a request for events: what each may be, and which events it lets through.
 */
/* links: api init/lib */
#include <errno.h>
#include <string.h>

#include "init/api/filter.h"
#include "test.h"

static int take(struct filter *filter, const char *name, const char *value)
{
	return filter_argument(filter, name, strlen(name), value, value ? strlen(value) : 0);
}

static bool matches(const struct filter *filter, uint64_t seq, int level, const char *source, const char *fields,
		    size_t fields_size)
{
	struct event_view e = {
		.head = {.seq = seq, .level = (uint8_t)level, .source_size = (uint16_t)strlen(source),
			 .fields_size = (uint16_t)fields_size},
		.source = source, .text = "", .fields = fields,
	};

	return filter_matches(filter, &e);
}

TEST(what_is_not_exactly_a_value_is_refused)
{
	static const char *const bad[][2] = {
		{"since", ""}, {"since", "-1"}, {"since", "+1"}, {"since", " 1"}, {"since", "1 "}, {"since", "0x10"},
		{"since", "1.0"}, {"since", "1e3"}, {"since", NULL}, {"since", "1234567890123456789"},
		{"limit", "x"}, {"limit", "-5"}, {"limit", "18446744073709551617"},
		{"level", "loud"}, {"level", "ERROR"}, {"level", "err"}, {"level", "errors"}, {"level", "3"}, {"level", ""},
		{"level", NULL}, {"source", ""}, {"source", NULL}, {"source", "a b"}, {"source", "a/b"}, {"source", "Disk"},
		{"source", "\xc3\xbc"}, {"source", "a-source-name-of-thirty-three-byt"},
		{"boot", "1"}, {"boot", "-"}, {"boot", ""}, {"boot", "--1"}, {"boot", "-1000000"}, {"boot", "-1x"}, {"boot", "+0"},
		{"action", "rbuilder"}, {"action", ""}, {"action", "7a"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct filter filter = {0};

		if (take(&filter, bad[i][0], bad[i][1]) != -EINVAL)
			FAIL("%s=%s is taken", bad[i][0], bad[i][1] ? bad[i][1] : "NULL");
	}
}

TEST(good_values_are_taken_as_they_are)
{
	struct filter filter = {0};

	CHECK_INT(take(&filter, "since", "007"), 0);
	CHECK_INT(take(&filter, "limit", "999999999999999999"), 0);
	CHECK_INT(take(&filter, "level", "warning"), 0);
	CHECK_INT(take(&filter, "source", "a-source-name-of-thirty-two-byte"), 0);
	CHECK_INT(take(&filter, "source", "pid-1"), 0);
	CHECK_INT(take(&filter, "boot", "-2"), 0);
	CHECK_INT(take(&filter, "action", "12"), 0);
	CHECK_INT(filter.since, 7);
	CHECK_INT(filter.limit, 999999999999999999);
	CHECK_INT(filter.level, EVENT_WARNING);
	CHECK_INT(filter.n_sources, 2);
	CHECK_STR(filter.sources[1], "pid-1");
	CHECK_INT(filter.boot, -2);
	CHECK_INT(filter.action, 12);
	CHECK(filter_valid(&filter));
}

TEST(unknown_arguments_are_ignored)
{
	struct filter filter = {0};

	CHECK_INT(take(&filter, "format", "text"), 0);
	CHECK_INT(take(&filter, "sinc", "x"), 0);
	CHECK_INT(take(&filter, "since2", "x"), 0);
	CHECK_INT(take(&filter, "", NULL), 0);
	CHECK_INT(filter.given, 0);
}

TEST(only_source_may_be_given_twice_and_not_without_end)
{
	struct filter filter = {0};

	CHECK_INT(take(&filter, "since", "1"), 0);
	CHECK_INT(take(&filter, "since", "1"), -EINVAL);
	for (int i = 0; i < FILTER_SOURCES_MAX; i++)
		CHECK_INT(take(&filter, "source", "disk"), 0);
	CHECK_INT(take(&filter, "source", "disk"), -EINVAL);
}

TEST(an_empty_filter_lets_everything_through)
{
	struct filter filter = {0};

	CHECK(filter_valid(&filter));
	CHECK(matches(&filter, 1, EVENT_DEBUG, "disk", NULL, 0));
}

TEST(each_argument_keeps_out_what_it_says)
{
	struct filter filter = {0};

	CHECK_INT(take(&filter, "since", "5"), 0);
	CHECK(!matches(&filter, 5, EVENT_ERROR, "disk", NULL, 0));
	CHECK(matches(&filter, 6, EVENT_DEBUG, "disk", NULL, 0));
	CHECK_INT(take(&filter, "level", "notice"), 0);
	CHECK(!matches(&filter, 6, EVENT_INFO, "disk", NULL, 0));
	CHECK(matches(&filter, 6, EVENT_NOTICE, "disk", NULL, 0));
	CHECK(matches(&filter, 6, EVENT_ERROR, "disk", NULL, 0));
	CHECK_INT(take(&filter, "source", "network"), 0);
	CHECK(!matches(&filter, 6, EVENT_ERROR, "disk", NULL, 0));
	CHECK_INT(take(&filter, "source", "disk"), 0);
	CHECK(matches(&filter, 6, EVENT_ERROR, "disk", NULL, 0));
	CHECK(matches(&filter, 6, EVENT_ERROR, "network", NULL, 0));
	CHECK(!matches(&filter, 6, EVENT_ERROR, "disk2", NULL, 0));
	CHECK(!matches(&filter, 6, EVENT_ERROR, "dis", NULL, 0));
}

TEST(an_action_s_events_have_its_id_and_an_action)
{
	static const char good[] = "action=restart\0id=7", no_action[] = "id=7\0x=action=", other[] = "action=restart\0id=70";
	static const char word[] = "action=restart\0id=seven\0valid=7";
	struct filter filter = {0};

	CHECK_INT(take(&filter, "action", "7"), 0);
	CHECK(matches(&filter, 1, EVENT_INFO, "system-api", good, sizeof(good)));
	CHECK(!matches(&filter, 1, EVENT_INFO, "system-api", no_action, sizeof(no_action)));
	CHECK(!matches(&filter, 1, EVENT_INFO, "system-api", other, sizeof(other)));
	CHECK(!matches(&filter, 1, EVENT_INFO, "system-api", word, sizeof(word)));
	CHECK(!matches(&filter, 1, EVENT_INFO, "system-api", NULL, 0));
}

TEST(a_filter_that_no_argument_makes_is_not_valid)
{
	struct filter filter = {.n_sources = 1, .sources = {"disk"}}, bad;

	CHECK(filter_valid(&filter));
	bad = filter;
	for (int i = 0; i < FILTER_SOURCES_MAX; i++)
		strcpy(bad.sources[i], "disk");
	bad.n_sources = FILTER_SOURCES_MAX;
	CHECK(filter_valid(&bad));
	bad.n_sources = FILTER_SOURCES_MAX + 2;
	CHECK(!filter_valid(&bad));
	bad = filter;
	memset(bad.sources[0], 'a', sizeof(bad.sources[0]));	/* no end */
	CHECK(!filter_valid(&bad));
	bad = filter;
	bad.level = EVENT_LEVEL_MAX;
	CHECK(!filter_valid(&bad));
	bad = filter;
	bad.boot = 1;
	CHECK(!filter_valid(&bad));
	bad = filter;
	bad.boot = INT32_MIN;
	CHECK(!filter_valid(&bad));
	bad = filter;
	bad.given = 1u << FILTER_ARGUMENT_MAX;
	CHECK(!filter_valid(&bad));
}
