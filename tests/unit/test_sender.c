/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one sender may say, with a clock of our own; and how it is told what was dropped, with the real one.
 */
/* links: event init/lib */
#include <string.h>

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
		good += sender_may(sender_find(name), now_ns);
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

TEST(a_new_name_for_every_message_gains_nothing)
{
	int good = 0;

	start(10, 50);
	for (int i = 0; i < 100000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "pid-%d", i);
		good += through(name, 1, SECOND);
	}
	CHECK_INT(good, 128 * 50);
}

TEST(the_one_not_heard_of_for_the_longest_time_makes_room)
{
	start(10, 5);
	CHECK_INT(through("busy", 5, SECOND), 5);
	for (int i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "pid-%d", i);
		CHECK_INT(through(name, 1, SECOND), 1);
		CHECK_INT(through("busy", 1, SECOND), 0);	/* it kept its place, and its empty bucket */
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

		snprintf(name, sizeof(name), "pid-%d", i);
		sender_find(name);
	}
	CHECK(events_come(1));
	CHECK_STR(line_of(1), "warning gantry message: 3 messages dropped: more than 10 a second, "
		  "from short-lived senders\n");
}
