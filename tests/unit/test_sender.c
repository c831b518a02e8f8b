/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one sender may say, with a clock of our own; and how it is told what was dropped, with the real one.
 */
/* links: event init/lib */
#include <string.h>

#include "init/event/quota.h"
#include "init/event/sender.h"
#include "event_lines.h"

#define SECOND 1000000000LL

static void start(int64_t per_s, int64_t burst)
{
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(1000), 0);
	sender_limit(per_s, burst);
}

/* How many of n come through at this moment. */
static int through(const char *name, int n, int64_t now_ns)
{
	int good = 0;

	for (int i = 0; i < n; i++)
		good += sender_may(name, now_ns);
	return good;
}

TEST(without_a_limit_everything_comes_through)
{
	CHECK_INT(through("a", 100000, SECOND), 100000);
	start(0, 1);
	CHECK_INT(through("a", 100000, SECOND), 100000);
	CHECK_INT(event_drops(), 0);
}

TEST(a_burst_comes_through_then_the_rate)
{
	start(10, 50);
	CHECK_INT(through("a", 1000, 5 * SECOND), 50);
	CHECK_INT(through("a", 1000, 5 * SECOND), 0);
	CHECK_INT(through("a", 1000, 5 * SECOND + SECOND / 10 - 1), 0);
	CHECK_INT(through("a", 1000, 5 * SECOND + SECOND / 10), 1);
	CHECK_INT(through("a", 1000, 7 * SECOND), 19);
	CHECK_INT(through("a", 1000, 100 * SECOND), 50);	/* never more than the burst */
	CHECK_INT(event_drops(), 6000 - 120);
}

TEST(who_stays_within_the_rate_is_never_dropped)
{
	start(1000, 1);
	for (int i = 0; i < 10000; i++)
		CHECK_INT(through("a", 1, i * (SECOND / 1000)), 1);
}

TEST(each_sender_has_its_own)
{
	start(10, 50);
	CHECK_INT(through("a", 1000, SECOND), 50);
	CHECK_INT(through("b", 40, SECOND), 40);
	CHECK_INT(through("a", 1, SECOND), 0);
	CHECK_INT(through("b", 40, SECOND), 10);
}

TEST(all_together_have_eight_times_as_much)
{
	int good = 0;

	start(10, 50);
	for (int i = 0; i < 100000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "name-%d", i % 100);
		good += through(name, 1, SECOND);
	}
	CHECK_INT(good, 8 * 50);
	CHECK_INT(event_drops(), 100000 - 8 * 50);
	CHECK_INT(through("another", 1000, 2 * SECOND), 50);
	CHECK_INT(through("one more", 1000, 2 * SECOND), 30);
}

TEST(what_others_send_does_not_count_for_a_report)
{
	start(10, 50);
	for (int i = 0; i < 9; i++)
		through((char[]){(char)('a' + i), 0}, 50, SECOND);
	CHECK_INT(through("j", 1, SECOND), 0);
	for (int i = 0; i < 50; i++)
		CHECK(sender_may_report("disk", SECOND));
	CHECK(!sender_may_report("disk", SECOND));
}

TEST(more_names_than_rows_gain_nothing)
{
	start(1, 3);
	for (int round = 0; round < 2; round++) {
		int good = 0;

		for (int i = 0; i < 1000; i++) {
			char name[32];

			snprintf(name, sizeof(name), "name-%d", i);
			for (int k = 0; k < 10; k++)
				good += sender_may_report(name, SECOND);
		}
		CHECK_INT(good, round == 0 ? 128 * 3 : 0);
	}
}

TEST(what_was_dropped_is_said_once_a_second_by_its_sender)
{
	int64_t began = loop_now_ns();

	start(10, 5);
	CHECK_INT(through("a", 1005, began), 5);
	CHECK_INT(through("b", 6, began), 5);
	CHECK(events_come(2));
	CHECK(loop_now_ns() - began >= SECOND);
	CHECK_STR(line_of(1), "warning a message: 1000 messages dropped: more than 10 a second\n");
	CHECK_STR(line_of(2), "warning b message: 1 message dropped: more than 10 a second\n");
	CHECK_INT(event_drops(), 1001);
	CHECK(!loop_until_ms(NULL, 1200));
	CHECK_INT(event_last(), 2);
	through("a", 100, loop_now_ns());
	CHECK(events_come(3));
	CHECK_STR(line_of(3), "warning a message: 95 messages dropped: more than 10 a second\n");
}

TEST(what_is_said_here_is_not_said_again_with_other_drops)
{
	start(10, 5);
	CHECK_INT(through("a", 8, loop_now_ns()), 5);
	event_count_drop("control");
	CHECK(events_come(1));
	CHECK_STR(line_of(1), "warning gantry message: 1 message dropped: malformed, refused or undeliverable; "
		  "the last from control\n");
	CHECK_INT(event_drops(), 4);
}

TEST(what_those_who_made_room_had_dropped_is_said_too)
{
	start(10, 5);
	CHECK_INT(through("a", 8, loop_now_ns()), 5);
	for (int i = 0; i < 128; i++) {
		char name[32];

		snprintf(name, sizeof(name), "name-%d", i);
		quota_of(name);
	}
	CHECK(events_come(1));
	CHECK_STR(line_of(1), "warning gantry message: 3 messages dropped: more than 10 a second, from several senders\n");
}

TEST(those_without_a_service_are_one_sender_for_each_user)
{
	start(10, 5);
	CHECK_INT(through(sender_of_stranger(1001), 8, loop_now_ns()), 5);
	CHECK_INT(through(sender_of_stranger(1002), 4, loop_now_ns()), 4);
	CHECK_INT(through(sender_of_stranger(0), 4, loop_now_ns()), 4);
	CHECK_INT(through(sender_of_stranger(1008), 4, loop_now_ns()), 4);
	CHECK(events_come(1));
	CHECK_STR(line_of(1), "warning gantry message: 3 messages dropped: more than 10 a second, "
		  "from processes of no stage or service\n");
}

TEST(a_thousand_uids_take_the_rows_of_sixteen_senders)
{
	char seen[1000][EVENT_SOURCE_MAX + 1];
	size_t n = 0;

	for (uid_t uid = 1; uid < 1000; uid++) {
		const char *name = sender_of_stranger(uid);
		size_t i = 0;

		while (i < n && strcmp(seen[i], name) != 0)
			i++;
		if (i == n)
			snprintf(seen[n++], sizeof(seen[0]), "%s", name);
	}
	CHECK_INT((int)n, 16);
}

static bool nine_reports(void)
{
	through("a", 20, loop_now_ns());
	return event_last() >= 9;
}

TEST(a_flood_that_goes_on_is_not_reported_every_second)
{
	start(1, 1);
	CHECK(!loop_until_ms(nine_reports, 12000));
	CHECK_INT(event_last(), 8);
}
