/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements fifo.h. Lines are assembled in a buffer as large as an event's text; a longer line is cut. A last line
 * without newline becomes an event after a second of silence, so that it is not joined with the next writer's line.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event.h"
#include "fifo.h"
#include "init/lib/loop.h"
#include "sender.h"

#define SOURCE        "fifo"
#define READ_SIZE     4096
#define READS_A_TURN  4
#define LINE_ROOM     (EVENT_TEXT_MAX + 8)	/* more than fits, so that the cut is made between characters */
#define TAIL_NS       1000000000

static struct loop_source source = LOOP_SOURCE_INIT;
static struct loop_timer tail_timer;
static char line[LINE_ROOM];
static size_t line_size;
static bool unfinished;

static int64_t now_ns;	/* of this turn */

static void end_line(void)
{
	if (sender_may(SOURCE, now_ns))
		event_add(EVENT_INFO, EVENT_MESSAGE, SOURCE, line, line_size, NULL, 0);
	line_size = 0;
	unfinished = false;
}

static void end_tail(struct loop_timer *timer)
{
	(void)timer;
	now_ns = loop_now_ns();
	if (unfinished)
		end_line();
}

static void take(const char *bytes, size_t size)
{
	while (size > 0) {
		const char *newline = memchr(bytes, '\n', size);
		size_t n = newline ? (size_t)(newline - bytes) : size;
		size_t kept = n < LINE_ROOM - line_size ? n : LINE_ROOM - line_size;

		memcpy(line + line_size, bytes, kept);
		line_size += kept;
		unfinished = true;
		if (newline) {
			n++;
			end_line();
		}
		bytes += n;
		size -= n;
	}
}

static void ready(struct loop_source *s, uint32_t events)
{
	char bytes[READ_SIZE];
	bool any = false;

	(void)events;
	now_ns = loop_now_ns();
	for (int i = 0; i < READS_A_TURN; i++) {
		ssize_t n = read(s->fd, bytes, sizeof(bytes));

		if (n <= 0)
			break;
		any = true;
		take(bytes, (size_t)n);
	}
	if (!any)
		return;
	loop_disarm(&tail_timer);
	if (unfinished)
		loop_arm(&tail_timer, now_ns + TAIL_NS);
}

static int open_fifo(const char *path)
{
	struct stat st;
	int fd, r;

	if (mkfifo(path, 0666) == 0)
		(void)!chmod(path, 0666);	/* regardless of the umask */
	else if (errno != EEXIST)
		return -errno;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISFIFO(st.st_mode))
		return -ENXIO;
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = fstat(fd, &st) < 0 ? -errno : S_ISFIFO(st.st_mode) ? 0 : -ENXIO;
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

int fifo_init(const char *path)
{
	int r;

	tail_timer.fire = end_tail;
	source.ready = ready;
	r = loop_take(&source, open_fifo(path), EPOLLIN);
	if (r < 0)
		event_say(EVENT_ERROR, "gantry", "event FIFO %s: %s", path,
			  r == -ENXIO ? "exists and is not a FIFO" : strerror(-r));
	return r;
}
