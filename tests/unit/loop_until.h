/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs PID 1's real event loop within a test: until a condition holds, or two seconds have passed.
 */
#ifndef TEST_LOOP_UNTIL_H
#define TEST_LOOP_UNTIL_H

#include <stdbool.h>

#include "init/lib/loop.h"

static bool (*loop_condition)(void);
static bool loop_timed_out;

static void loop_give_up(struct loop_timer *timer)
{
	(void)timer;
	loop_timed_out = true;
	loop_stop();
}

static void loop_ask(void)
{
	if (loop_condition && loop_condition())
		loop_stop();
}

/* True: the condition came to hold. */
static bool loop_until_ms(bool (*condition)(void), int ms)
{
	static struct loop_timer timer = {.fire = loop_give_up};

	loop_condition = condition;
	loop_timed_out = false;
	if (condition && condition())
		return true;
	loop_arm(&timer, loop_now_ns() + ms * 1000000LL);
	loop_run(loop_ask);
	loop_disarm(&timer);
	return !loop_timed_out;
}

static inline bool loop_until(bool (*condition)(void))
{
	return loop_until_ms(condition, 20000);
}

#endif
