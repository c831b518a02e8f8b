/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PID 1 keeps of what its stages found out: whole messages or nothing, cleaned, bounded, one node apart from
 * the other.
 */
/* links: node event init/lib */
#include "init/event/console.h"
#include "init/node/facts.h"
#include "test.h"

#define TAKE(node, bytes) facts_take(node, bytes, sizeof(bytes))

static void check(size_t node, const char *expected, size_t size)
{
	const char *facts = NULL;

	CHECK_INT(facts_of(node, &facts), size);
	if (size > 0)
		CHECK_MEM(facts, expected, size);
}

TEST(the_latest_message_of_each_node_is_kept)
{
	CHECK_INT(facts_init(2), 0);
	check(0, "", 0);
	CHECK(TAKE(0, "a=1\0b=2"));
	CHECK(TAKE(1, "c=3"));
	check(0, "a=1\0b=2", 8);
	CHECK(TAKE(0, "b="));
	check(0, "b=", 3);
	check(1, "c=3", 4);
	CHECK(facts_take(0, "", 0));
	check(0, "", 0);
}

TEST(what_is_malformed_is_refused_and_changes_nothing)
{
	static char big[NODE_FACTS_MAX + 2];

	CHECK_INT(facts_init(1), 0);
	CHECK(TAKE(0, "a=1"));
	CHECK(!facts_take(0, "b=1", 3));		/* no end */
	CHECK(!TAKE(0, ""));
	CHECK(!TAKE(0, "b"));
	CHECK(!TAKE(0, "=1"));
	CHECK(!TAKE(0, "B=1"));
	CHECK(!TAKE(0, "1b=1"));
	CHECK(!TAKE(0, "b=1\0c"));
	CHECK(!TAKE(0, "a_key_that_is_longer_than_a_key_is=1"));
	memset(big, 'x', sizeof(big) - 1);
	memcpy(big, "b=", 2);
	CHECK(!facts_take(0, big, sizeof(big)));
	CHECK(!TAKE(1, "b=1"));				/* no such node */
	CHECK(!TAKE((size_t)-1, "b=1"));
	check(0, "a=1", 4);
	check((size_t)-1, "", 0);
}

TEST(values_are_cleaned_and_cut_to_the_room_there_is)
{
	static char big[NODE_FACTS_MAX];
	const char *facts = NULL;
	size_t size;

	CHECK_INT(facts_init(1), 0);
	CHECK(TAKE(0, "a=x\x1b[1my\n\x01"));
	check(0, "a=xy \xef\xbf\xbd", 9);
	memset(big, '\xff', sizeof(big));
	memcpy(big, "b=", 2);
	big[sizeof(big) - 1] = '\0';
	CHECK(facts_take(0, big, sizeof(big)));
	size = facts_of(0, &facts);
	CHECK(size <= NODE_FACTS_MAX && size > NODE_FACTS_MAX - 4);
	CHECK_INT(facts[size - 1], 0);
	CHECK_MEM(facts + size - 4, "\xef\xbf\xbd", 4);
}

TEST(progress_is_kept_with_its_time_and_a_clean_text)
{
	struct report_progress p = {.done = 1, .total = 2, .per_second = 3, .eta_s = 4};
	struct control_node node = {0};

	CHECK_INT(facts_init(1), 0);
	facts_progress(0, &node);
	CHECK_INT(node.progress_ns, 0);
	facts_take_progress(0, &p, "1\n2", 3);
	facts_take_progress(1, &p, "x", 1);
	facts_progress(0, &node);
	CHECK(node.progress_ns > 0);
	CHECK_INT(node.progress_done, 1);
	CHECK_INT(node.progress_total, 2);
	CHECK_INT(node.progress_per_second, 3);
	CHECK_INT(node.progress_eta_s, 4);
	CHECK_STR(node.progress_text, "1 2");
}
