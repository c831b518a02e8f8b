/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console: a cursor into the ring and at most one line under way. The device is in the loop only while it does
 * not take more, so a hung-up terminal cannot make the loop spin; one that fails is closed and tried again later.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "event.h"
#include "init/lib/eventtext.h"
#include "init/lib/loop.h"

#ifdef UNIT_TEST
extern const char *console_test_path;
#define CONSOLE_PATH     console_test_path
#else
#define CONSOLE_PATH     "/dev/console"
#endif
#define REOPEN_NS        5000000000
#define LINES_AN_EVENT   4	/* written from within event_add() */
#define LINES_A_TURN     64
#define DRAIN_STEP_MS    5

static int fd = -1;
static uint64_t next = 1;	/* seq of the first event not yet on the console */
static char line[EVENT_LINE_MAX];
static size_t line_size, line_done;
static struct loop_source waiting = LOOP_SOURCE_INIT;
static struct loop_timer reopen_timer;

/* A description of our own, so that O_NONBLOCK does not reach whoever shares descriptor 2. */
static int open_device(void)
{
	int flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

	fd = open(CONSOLE_PATH, flags);
	if (fd < 0)
		fd = open("/proc/self/fd/2", flags | O_APPEND);
	return fd < 0 ? -errno : 0;
}

static void reopen(struct loop_timer *timer);

static void lose_device(void)
{
	loop_remove(&waiting);
	if (fd >= 0)
		close(fd);
	fd = -1;
	line_done = 0;	/* the line is written again as a whole */
	reopen_timer.fire = reopen;
	loop_arm(&reopen_timer, loop_now_ns() + REOPEN_NS);
}

/* Puts the next line into `line`; false if there is nothing to say. */
static bool next_line(void)
{
	char record[EVENT_RECORD_MAX];
	struct text t = TEXT_FIXED(line);
	struct event_view e;
	uint64_t seq = next;
	size_t size = event_read(&seq, record);

	if (size == 0)
		return false;
	if (event_view(&e, record, size) < 0) {
		next = seq + 1;
		return false;
	}
	if (seq != next) {
		text_printf(&t, "[%5lld.%06lld] warning console message: %llu events skipped\n",
			    (long long)(e.head.boot_ns / 1000000000), (long long)(e.head.boot_ns % 1000000000 / 1000),
			    (unsigned long long)(seq - next));
		next = seq;
	} else {
		event_console_line(&t, &e);
		next = seq + 1;
	}
	line_size = t.size;
	line_done = 0;
	return true;
}

/* Writes up to `lines` lines. 1: there may be more to write; 0: all written; -EAGAIN; other negative: device lost. */
static int pump(int lines)
{
	while (lines > 0) {
		ssize_t n;

		if (line_done == line_size) {
			if (!next_line())
				return 0;
			lines--;
		}
		while (line_done < line_size) {
			n = write(fd, line + line_done, line_size - line_done);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return n < 0 ? -errno : -EIO;
			line_done += (size_t)n;
		}
	}
	return 1;
}

static void ready(struct loop_source *source, uint32_t events);

static void pump_and_wait(int lines)
{
	int r = pump(lines);

	if (r == 0) {
		loop_remove(&waiting);
	} else if (r == -EAGAIN || r > 0) {
		waiting.ready = ready;
		if (waiting.fd < 0 && loop_add(&waiting, fd, EPOLLOUT) < 0)
			while (r > 0)	/* not pollable: a plain file, which always takes it */
				r = pump(LINES_A_TURN);
	} else {
		lose_device();
	}
}

static void ready(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	pump_and_wait(LINES_A_TURN);
}

static void wake(void)
{
	if (fd >= 0 && waiting.fd < 0)
		pump_and_wait(LINES_AN_EVENT);
}

static void reopen(struct loop_timer *timer)
{
	(void)timer;
	if (open_device() == 0)
		pump_and_wait(LINES_A_TURN);
	else
		lose_device();
}

int console_init(void)
{
	int r = open_device();

	event_on_add(wake);
	if (r < 0)
		lose_device();
	else
		pump_and_wait(LINES_A_TURN);
	return r;
}

static int left_ms(int64_t due_ns)
{
	int64_t left = (due_ns - loop_now_ns()) / 1000000;

	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

void console_flush(int64_t due_ns)
{
	int queued;

	while (fd >= 0) {
		int r = pump(LINES_A_TURN);
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (r == 0 || (r < 0 && r != -EAGAIN) || left_ms(due_ns) == 0)
			break;
		if (r == -EAGAIN && poll(&p, 1, left_ms(due_ns)) < 0 && errno != EINTR)
			break;
	}
	/* What the terminal's driver holds would be lost by reboot(2); it has no notification, so it is asked. */
	while (fd >= 0 && ioctl(fd, TIOCOUTQ, &queued) == 0 && queued > 0 && left_ms(due_ns) > 0)
		nanosleep(&(struct timespec){.tv_nsec = DRAIN_STEP_MS * 1000000}, NULL);
}
