/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clock's floor and its steps, with clocks of the test's own; boot/test_hardened does it to a real machine. */
/* links: event init/lib */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "event_lines.h"

#define GANTRY_BUILD_DATE 1700000000

static int64_t wall_ns, monotonic_ns, set_ns;
static int set_errno;

static int fake_gettime(clockid_t id, struct timespec *ret)
{
	int64_t now = id == CLOCK_REALTIME ? wall_ns : monotonic_ns;

	*ret = (struct timespec){now / 1000000000, now % 1000000000};
	return 0;
}

static int fake_settime(clockid_t id, const struct timespec *to)
{
	CHECK_INT(id, CLOCK_REALTIME);
	errno = set_errno;
	if (set_errno)
		return -1;
	wall_ns = set_ns = to->tv_sec * 1000000000LL + to->tv_nsec;
	return 0;
}

static ssize_t fake_read(int fd, void *bytes, size_t size)
{
	(void)fd, (void)bytes, (void)size;
	errno = ECANCELED;
	return -1;
}

#define clock_gettime fake_gettime
#define clock_settime fake_settime
#define read fake_read
#include "init/pid1/clock.c"
#undef clock_gettime
#undef clock_settime
#undef read

#define S 1000000000LL

static void begin(int64_t wall_s, bool set)
{
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(100), 0);
	wall_ns = wall_s * S;
	monotonic_ns = 5 * S;
	quiet.fire = quiet_over;
	clock_begin(set);
}

static void step(int64_t by_ns)
{
	wall_ns += by_ns;
	stepped(&source, 0);
}

TEST(a_clock_before_the_build_s_date_is_set_to_it)
{
	begin(1600000000, true);
	CHECK_INT(wall_ns, 1700000000 * S);
	CHECK_STR(line_of(1), "warning gantry message: clock: was 100000000.000 s before the build's date, set to "
		  "that: 2023-11-14T22:13:20Z\n");
}

TEST(a_clock_after_it_is_left)
{
	begin(1700000001, true);
	CHECK_INT(set_ns, 0);
	CHECK_INT(event_last(), 0);
}

TEST(a_configuration_that_keeps_the_clock_has_no_floor)
{
	static const char fields[] = "at=2033-01-01T00:00:00Z";

	begin(1600000000, false);
	clock_previous_end(fields, sizeof(fields));
	step(-5 * S);
	CHECK_INT(set_ns, 0);
}

TEST(a_clock_that_cannot_be_set_says_why)
{
	set_errno = EPERM;
	begin(1699999999, true);
	CHECK_STR(line_of(1), "error gantry message: clock: 1.000 s before the build's date, and setting it failed: "
		  "operation not permitted\n");
}

TEST(a_step_is_an_event_with_its_size_and_what_went_by_is_not_part_of_it)
{
	begin(1800000000, true);
	wall_ns += 1000 * S;
	monotonic_ns += 1000 * S;
	step(-2500000000);
	CHECK_STR(line_of(1), "notice gantry message: clock: set by -2.500 s step_s=-2.500000 steps=1\n");
}

static int times_set;

static void note_set(void)
{
	times_set++;
}

TEST(who_depends_on_the_clock_hears_of_steps_and_not_of_each)
{
	begin(1800000000, true);
	was_set = note_set;
	CHECK_INT(times_set, 0);
	for (int i = 0; i < 100; i++)
		step(S);
	CHECK_INT(times_set, 1);
	quiet_over(&quiet);
	CHECK_INT(times_set, 2);
	quiet_over(&quiet);
	CHECK_INT(times_set, 2);
}

TEST(steps_that_come_one_after_the_other_are_one_event)
{
	begin(1800000000, true);
	step(S);
	step(S);
	step(-5 * S);
	CHECK_INT(event_last(), 1);
	quiet_over(&quiet);
	CHECK_STR(line_of(2), "notice gantry message: clock: set by -4.000 s in 2 steps step_s=-4.000000 steps=2\n");
	quiet_over(&quiet);
	CHECK_INT(event_last(), 2);
}

TEST(a_step_to_before_the_build_s_date_is_undone)
{
	begin(1800000000, true);
	step(-200000000 * S);
	CHECK_INT(wall_ns, 1700000000 * S);
	CHECK_INT(event_last(), 2);
	step(0);	/* the loop hears of its own */
	monotonic_ns += 60 * S;
	wall_ns += 60 * S;
	quiet_over(&quiet);
	CHECK_INT(event_last(), 2);
}

TEST(steps_that_are_undone_again_and_again_do_not_fill_the_log)
{
	begin(1800000000, true);
	for (int i = 0; i < 1000; i++) {
		step(-200000000 * S);
		CHECK_INT(wall_ns, 1700000000 * S);
	}
	CHECK_INT(event_last(), 2);
}

TEST(a_clock_before_the_previous_boot_s_end_is_set_to_it_once)
{
	static const char fields[] = "in_order=true\0at=2024-02-03T04:05:06Z\0clean=true";

	begin(1700000001, true);
	clock_previous_end(fields, sizeof(fields));
	CHECK_INT(wall_ns, 1706933106 * S);
	CHECK_STR(line_of(1), "warning gantry message: clock: was 6933105.000 s before the previous boot's end, set "
		  "to that: 2024-02-03T04:05:06Z\n");
	step(-S);
	CHECK_INT(wall_ns, 1706933105 * S);
	clock_previous_end(fields, sizeof(fields));
	CHECK_INT(wall_ns, 1706933105 * S);
}

TEST(what_is_no_date_or_too_far_ahead_is_not_believed)
{
	static const char *const dates[] = {"at=", "at=2024", "at=2024-02-03T04:05:06", "at=9999-01-01T00:00:00Z",
					    "bat=2024", "at=2034-01-01T00:00:00Z"};

	begin(1700000001, true);
	for (size_t i = 0; i < sizeof(dates) / sizeof(*dates); i++)
		clock_previous_end(dates[i], strlen(dates[i]));
	clock_previous_end(NULL, 0);
	CHECK_INT(set_ns, 0);
}
