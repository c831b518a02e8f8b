/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console as a reader of the ring, on a pipe, a pseudo-terminal that goes away, and a plain file.
 */
/* links: event init/lib */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/event/console.h"
#include "init/event/event.h"
#include "loop_until.h"
#include "test.h"

#define PIPE_SIZE 4096

const char *console_test_path = "/nonexistent/console";
static char name[64], got[400000];
static size_t got_size;
static int reader = -1;

/* Reads what has come so far; the console's own descriptor is not touched. */
static bool take(void)
{
	ssize_t n;

	while ((n = read(reader, got + got_size, sizeof(got) - 1 - got_size)) > 0)
		got_size += (size_t)n;
	got[got_size] = '\0';
	return false;
}

static bool has_last(void)
{
	take();
	return strstr(got, "the last line\n") != NULL;
}

static bool has_reopened(void)
{
	take();
	return strstr(got, "after the hang-up\n") != NULL;
}

static size_t lines(void)
{
	size_t n = 0;

	for (const char *p = got; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static void start(size_t entries)
{
	snprintf(name, sizeof(name), "/tmp/console-%d", getpid());
	CHECK_INT(mkfifo(name, 0600), 0);
	reader = open(name, O_RDONLY | O_NONBLOCK);
	CHECK_INT(fcntl(reader, F_SETPIPE_SZ, PIPE_SIZE), PIPE_SIZE);
	console_test_path = name;
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(entries), entries ? 0 : -EINVAL);
}

TEST(a_slow_console_loses_the_oldest_lines_and_says_how_many)
{
	unsigned long skipped = 0;
	const char *said;

	start(50);
	event_say(EVENT_INFO, "test", "said before the console was there");
	CHECK_INT(console_init(), 0);
	take();
	CHECK(strstr(got, "info test message: said before the console was there\n") != NULL);
	for (int i = 0; i < 1000; i++)
		event_say(EVENT_INFO, "test", "line %d of many that the pipe does not take", i);
	event_say(EVENT_INFO, "test", "the last line");
	CHECK(!strstr(got, "the last line"));
	CHECK(loop_until(has_last));
	said = strstr(got, "warning console message: ");
	CHECK(said != NULL);
	if (said)
		skipped = strtoul(said + strlen("warning console message: "), NULL, 10);
	CHECK(skipped > 800);
	CHECK_INT(lines() - 1 + skipped, event_last());
	unlink(name);
}

TEST(what_was_said_before_the_ring_reaches_the_console_or_is_counted)
{
	char first[64];
	unsigned long skipped = 0;

	for (int i = 1; i <= 100; i++)
		event_say(EVENT_INFO, "test", "early %d", i);
	start(2000);
	CHECK_INT(console_init(), 0);
	take();
	CHECK(sscanf(got, "[%*[^]]] warning console message: %lu events skipped\n", &skipped) == 1);
	CHECK(skipped > 0 && skipped < 100);
	snprintf(first, sizeof(first), "info test message: early %lu\n", skipped + 1);
	CHECK(strstr(got, first) != NULL);
	CHECK(strstr(got, "info test message: early 100\n") != NULL);
	CHECK_INT(lines() - 1 + skipped, 100);
	unlink(name);
}

TEST(without_memory_for_the_ring_the_console_shows_all)
{
	start(0);
	event_say(EVENT_INFO, "test", "said before the console was there");
	CHECK_INT(console_init(), 0);
	for (int i = 0; i < 1000; i++) {
		event_say(EVENT_INFO, "test", "line %d", i);
		take();
	}
	CHECK_INT(lines(), 1001);
	unlink(name);
}

TEST(flush_writes_the_rest_or_gives_up_at_its_deadline)
{
	int64_t before_ns;

	start(2000);
	CHECK_INT(console_init(), 0);
	for (int i = 0; i < 200; i++)
		event_say(EVENT_INFO, "test", "more than the pipe takes, and nobody reads it %d", i);
	before_ns = loop_now_ns();
	console_flush(before_ns + 50000000);
	CHECK(loop_now_ns() - before_ns < 1000000000);
	CHECK(loop_now_ns() - before_ns >= 45000000);
	take();
	CHECK(got_size >= PIPE_SIZE / 2);
	unlink(name);
}

TEST(a_plain_file_takes_everything_at_once)
{
	int fd;

	snprintf(name, sizeof(name), "/tmp/console-%d", getpid());
	fd = open(name, O_RDWR | O_CREAT, 0600);
	reader = fd;
	console_test_path = name;
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(2000), 0);
	for (int i = 0; i < 500; i++)
		event_say(EVENT_INFO, "test", "line %d", i);
	CHECK_INT(console_init(), 0);
	event_say(EVENT_INFO, "test", "one more");
	take();
	CHECK_INT(lines(), 501);
	unlink(name);
}

TEST(a_console_that_hangs_up_is_opened_again_and_never_spins)
{
	start(100);
	signal(SIGPIPE, SIG_IGN);
	CHECK_INT(console_init(), 0);
	close(reader);
	event_say(EVENT_INFO, "test", "into a broken pipe");
	CHECK(!loop_until_ms(NULL, 100));
	reader = open(name, O_RDONLY | O_NONBLOCK);
	event_say(EVENT_INFO, "test", "after the hang-up");
	CHECK(loop_until_ms(has_reopened, 60000));
	unlink(name);
}
