/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements fifo.h. Lines are assembled in a buffer as large as an event's text; a longer line is cut. A last line
 * without newline becomes an event after a second of silence, so that it is not joined with the next writer's line.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fifo.h"
#include "init/event/event.h"
#include "init/event/sender.h"
#include "init/lib/loop.h"
#include "relay.h"

#define SOURCE        "fifo"
#define READS_A_TURN  4
#define PIPE_SIZE     (256 * 1024)	/* so that writers run on while the relay and PID 1 have their turn */
#define LINE_ROOM     (EVENT_TEXT_MAX + 8)	/* more than fits, so that the cut is made between characters */
#define TAIL_NS       1000000000
#define HELD_NS       1000000000	/* until it is replaced: a slow machine holds it shortly, too */
#define NEW           "/run/gantry/fifo.new"
#define AGAIN_NS      5000000000	/* until a new one is tried again */

static struct loop_source source = LOOP_SOURCE_INIT;
static struct loop_timer tail_timer, held_timer, again_timer;
static const char *path;
static struct relay_pipe fifo = RELAY_PIPE_NONE;
static bool held, replaceable;
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

/* ---- the one that is read ---------------------------------------------------------------------------------------- */

static void stop_reading(void)
{
	loop_remove(&source);
	loop_disarm(&held_timer);
	relay_close(&fifo, held, SOURCE);
	held = false;
}

static void again_later(void)
{
	stop_reading();
	loop_arm(&again_timer, loop_now_ns() + AGAIN_NS);
}

/* The relay has ended. */
static void go_on(void)
{
	held = false;
	loop_remove(&source);
	if (relay_again(&fifo) < 0 || loop_add(&source, fifo.socket, EPOLLIN) < 0)
		again_later();
}

static void set_held(bool now)
{
	held = now;
	if (held)
		loop_arm(&held_timer, loop_now_ns() + HELD_NS);
	else
		loop_disarm(&held_timer);
}

/* Returns whether bytes came. */
static bool read_some(void)
{
	const char *bytes;
	size_t size;
	bool any = false;

	for (int i = 0; i < READS_A_TURN; i++) {
		enum relay_word word = relay_receive(source.fd, &bytes, &size);

		if (word == RELAY_NOTHING)
			break;
		if (word == RELAY_END) {
			go_on();
			break;
		}
		if (word == RELAY_BYTES) {
			any = true;
			take(bytes, size);
		} else {
			set_held(word == RELAY_HELD);
		}
	}
	return any;
}

static void ready(struct loop_source *s, uint32_t events)
{
	(void)s;
	(void)events;
	now_ns = loop_now_ns();
	if (!read_some())
		return;
	loop_disarm(&tail_timer);
	if (unfinished)
		loop_arm(&tail_timer, now_ns + TAIL_NS);
}

/* ---- making it --------------------------------------------------------------------------------------------------- */

static int open_fifo(const char *at)
{
	struct stat st;
	int fd, r;

	if (lstat(at, &st) < 0)
		return -errno;
	if (!S_ISFIFO(st.st_mode))
		return -ENXIO;
	fd = open(at, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = fstat(fd, &st) < 0 ? -errno : S_ISFIFO(st.st_mode) ? 0 : -ENXIO;
	(void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

static int make_fifo(const char *at)
{
	if (mkfifo(at, 0666) < 0)
		return -errno;
	(void)!chmod(at, 0666);	/* regardless of the umask */
	return 0;
}

/* Takes fd over, which may be a negative errno. */
static int read_from(int fd)
{
	int r = fd < 0 ? fd : relay_open_fifo(&fifo, fd);

	if (r == 0)
		r = loop_add(&source, fifo.socket, EPOLLIN);
	if (r < 0)
		stop_reading();
	return r;
}

/*
 * A new one in place of one that may be held. open(2) would wait, too: so this one is opened where nobody else can make
 * or open one, before it gets its name.
 */
static int replace(void)
{
	struct stat st;
	int r;

	if (!replaceable)
		return -EXDEV;
	if (!relay_may(SOURCE))
		return -EBUSY;
	(void)unlink(NEW);
	r = make_fifo(NEW);
	if (r == 0 && stat(path, &st) == 0)
		r = chmod(NEW, st.st_mode & 07777) < 0 || chown(NEW, st.st_uid, st.st_gid) < 0 ? -errno : 0;
	r = read_from(r < 0 ? r : open_fifo(NEW));
	if (r == 0 && rename(NEW, path) < 0)
		r = -errno;
	return r;
}

static void try_again(struct loop_timer *timer)
{
	int r = replace();

	(void)timer;
	if (r == 0)
		event_say(EVENT_NOTICE, SOURCE, "%s is a new FIFO", path);
	else
		again_later();
}

static void replace_held(struct loop_timer *timer)
{
	event_say(EVENT_WARNING, SOURCE, "a process holds %s; the lines in it are lost", path);
	stop_reading();
	try_again(timer);
}

/* Whether a rename can do it: not if it is in another file system, which may be one that does not answer later. */
static bool is_replaceable(void)
{
	struct stat there, new;

	return stat(path, &there) == 0 && stat("/run/gantry", &new) == 0 && there.st_dev == new.st_dev;
}

int fifo_init(const char *with)
{
	int r;

	path = with;
	tail_timer.fire = end_tail;
	held_timer.fire = replace_held;
	again_timer.fire = try_again;
	source.ready = ready;
	r = make_fifo(path);
	r = read_from(r < 0 && r != -EEXIST ? r : open_fifo(path));
	if (r < 0)
		event_say(EVENT_ERROR, "gantry", "event FIFO %s: %s", path,
			  r == -ENXIO ? "exists and is not a FIFO" : strerror(-r));
	replaceable = r == 0 && is_replaceable();
	return r;
}
