/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements clock.h. A timer that a step of the clock cancels wakes the loop; CLOCK_REALTIME minus CLOCK_MONOTONIC
 * changes by steps alone, because both are slewed alike. Whose step it was the kernel does not say: chronyd's own is an
 * event, too. Steps that come close together, as from a host that goes on, are one event.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "init/event/event.h"
#include "init/lib/eventtext.h"
#include "init/lib/loop.h"
#include "init/lib/words.h"

#define SECOND_NS   INT64_C(1000000000)
#define OWN_NS    (SECOND_NS / 20)	/* more than reading both clocks takes, even where the reader is held up */
#define QUIET_NS    (10 * SECOND_NS)	/* between two events about steps */
#define END_AFTER_S (10 * 365 * INT64_C(86400))	/* a previous end that far after the build is not believed */

#ifndef GANTRY_BUILD_DATE	/* seconds; the Makefile's */
#define GANTRY_BUILD_DATE 1700000000
#endif

static bool may_set;
static int64_t floor_ns;		/* 0: none yet */
static const char *floor_name;
static int64_t offset_ns;		/* the clock minus CLOCK_MONOTONIC, when last looked at */
static double stepped_s;		/* not reported yet */
static unsigned steps;
static bool own_step;			/* the next one that the loop hears of */
static int64_t undone_ns;		/* when a step to before the floor was undone; 0: never */
static struct loop_source source = LOOP_SOURCE_INIT;
static struct loop_timer quiet;
static void (*was_set)(void);

static int64_t read_ns(clockid_t id)
{
	struct timespec at = {0};

	clock_gettime(id, &at);
	return at.tv_sec * SECOND_NS + at.tv_nsec;
}

/* Read twice around the other clock, so that a delay in between does not count as a step. */
static int64_t read_offset_ns(void)
{
	int64_t before = read_ns(CLOCK_MONOTONIC), wall = read_ns(CLOCK_REALTIME), after = read_ns(CLOCK_MONOTONIC);

	return wall - before - (after - before) / 2;
}

/* Sets a clock that is before the floor. True: it was. */
static bool keep_floor(bool say)
{
	const struct timespec to = {.tv_sec = floor_ns / SECOND_NS, .tv_nsec = floor_ns % SECOND_NS};
	int64_t missing = floor_ns - read_ns(CLOCK_REALTIME);
	char text[64];
	struct text date = TEXT_FIXED(text);

	if (!may_set || missing <= 0)
		return false;
	time_rfc3339(&date, floor_ns, false);
	if (clock_settime(CLOCK_REALTIME, &to) < 0) {
		if (say)
			event_say(EVENT_ERROR, "gantry", "clock: %.3f s before %s, and setting it failed: %s",
				  (double)missing / 1e9, floor_name, error_words(errno));
		return true;
	}
	if (say)
		event_say(EVENT_WARNING, "gantry", "clock: was %.3f s before %s, set to that: %.*s",
			  (double)missing / 1e9, floor_name, (int)date.size, text);
	offset_ns = read_offset_ns();
	own_step = true;
	return true;
}

void clock_begin(bool set)
{
	may_set = set;
	floor_ns = GANTRY_BUILD_DATE * SECOND_NS;
	floor_name = "the build's date";
	offset_ns = read_offset_ns();
	keep_floor(true);
}

/* ---- steps ----------------------------------------------------------------------------------------------------- */

static void report_steps(void)
{
	struct fields fields = {0};
	char many[32] = "";

	if (steps > 1)
		snprintf(many, sizeof(many), " in %u steps", steps);
	fields_add(&fields, "step_s", "%.6f", stepped_s);
	fields_add(&fields, "steps", "%u", steps);
	event_tell(EVENT_NOTICE, "gantry", &fields, "clock: set by %+.3f s%s", stepped_s, many);
	stepped_s = 0;
	steps = 0;
	loop_arm(&quiet, loop_now_ns() + QUIET_NS);
	if (was_set)
		was_set();
}

static void quiet_over(struct loop_timer *timer)
{
	(void)timer;
	if (steps)
		report_steps();
}

static void stepped(struct loop_source *from, uint32_t events)
{
	int64_t now = read_offset_ns();
	uint64_t ticks;

	(void)events;
	if (read(from->fd, &ticks, sizeof(ticks)) >= 0 || errno != ECANCELED)
		return;
	if (own_step && now - offset_ns < OWN_NS && offset_ns - now < OWN_NS) {
		own_step = false;
		return;
	}
	own_step = false;
	stepped_s += (double)(now - offset_ns) / 1e9;
	steps++;
	offset_ns = now;
	if (!quiet.armed)
		report_steps();
	/* Who steps the clock again and again does not fill the log. */
	if (keep_floor(!undone_ns || loop_now_ns() - undone_ns > QUIET_NS))
		undone_ns = loop_now_ns();
}

int clock_watch(void (*then)(void))
{
	const struct itimerspec never = {.it_value.tv_sec = INT32_MAX * INT64_C(2)};	/* the year 2106 */
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	own_step = false;
	was_set = then;
	quiet.fire = quiet_over;
	source.ready = stepped;
	if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return loop_take(&source, fd, EPOLLIN);
}

/* ---- the previous boot ------------------------------------------------------------------------------------------ */

/* Of "2024-05-06T07:08:09Z"; 0: not such a date. */
static int64_t parse_date_ns(const char *text)
{
	struct tm tm = {0};
	char end;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%c", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
		   &tm.tm_sec, &end) != 7 || (end != 'Z' && end != '.') || tm.tm_year < 1970 || tm.tm_year > 2200)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return (int64_t)timegm(&tm) * SECOND_NS;
}

void clock_previous_end(const char *fields, size_t size)
{
	static bool known;	/* another logger of this boot says the same, or should not */
	int64_t end_ns = 0;
	char date[40];

	for (size_t at = 0, n; at < size; at += n + 1) {
		n = strnlen(fields + at, size - at);
		if (n > 3 && n < sizeof(date) && !memcmp(fields + at, "at=", 3)) {
			snprintf(date, sizeof(date), "%.*s", (int)n - 3, fields + at + 3);
			end_ns = parse_date_ns(date);
		}
	}
	if (known || !end_ns)
		return;
	known = true;
	if (end_ns / SECOND_NS - GANTRY_BUILD_DATE > END_AFTER_S) {
		event_say(EVENT_WARNING, "gantry", "clock: the previous boot's end is more than ten years after the "
			  "build's date; not used");
		return;
	}
	if (end_ns > read_ns(CLOCK_REALTIME)) {
		int64_t build_ns = floor_ns;

		floor_ns = end_ns;
		floor_name = "the previous boot's end";
		keep_floor(true);
		/* Later only the build's date counts: chronyd may know that the previous boot's clock was ahead. */
		floor_ns = build_ns;
		floor_name = "the build's date";
	}
}
