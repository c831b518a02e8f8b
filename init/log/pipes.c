/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements pipes.h with fixed buffers for each service: one that floods is slowed down to the speed of the disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "format.h"
#include "init/lib/guard.h"
#include "lines.h"
#include "pipes.h"

#define READS_A_TURN  16
#define REST_MAX      (1 << 20)	/* bytes in the pipe of an ended process: as much as one of an ordinary user holds */
#define HELD_MS       1000	/* until an event says that a pipe is held: a slow machine holds it shortly, too */
#define PENALTY_MS    100	/* for a pipe that was held, doubled each time, up to ... */
#define PENALTY_MAX   7		/* ... so many times: others must not wait because one is held again and again */

struct stream {
	int fd;			/* -1: none */
	bool paused;		/* not read from: its ring is full */
	bool busy;		/* a thread reads it; from now on, left alone by all others */
	bool told_held;		/* an event says that somebody holds the pipe */
	int64_t held_ms;	/* since when others go on without that thread; 0: they do not */
	unsigned times_held;
	struct logsplit split;
};

/* The reader's state of a node; allocated with its first pipe. */
struct reader {
	struct stream streams[LOG_STREAMS];
	uint32_t end;			/* argument of the last LOG_ENDED ... */
	bool end_due;			/* ... which is not answered yet */
};

const size_t pipes_node_size = sizeof(struct reader);

static struct reader **readers;
static size_t n_nodes;
static int epoll_fd = -1;

static void want(size_t node, size_t stream, bool on)
{
	struct stream *s = &readers[node]->streams[stream];
	struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.u64 = PIPES_KEY(node, stream)};

	s->paused = !on;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
}

/* Takes all complete lines. False: the ring is full, the stream paused. */
static bool take_lines(size_t node, size_t stream, bool last)
{
	struct stream *s = &readers[node]->streams[stream];
	struct logsplit_line line;

	while (logsplit_next(&s->split, last, &line)) {
		if (!lines_take(node, stream, &line)) {
			want(node, stream, false);
			return false;
		}
		logsplit_take(&s->split, &line);
	}
	return true;
}

void pipes_held(void *with)
{
	struct stream *s = with;

	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	s->held_ms = log_now_ms();
}

/* Called by the thread that has read it at last. */
static void released(size_t node, size_t stream)
{
	struct stream *s = &readers[node]->streams[stream];
	struct epoll_event event = {.data.u64 = PIPES_KEY(node, stream)};
	int64_t ms = (int64_t)PENALTY_MS << s->times_held;
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	if (s->told_held)
		logchannel_say(EVENT_NOTICE, node, "log: its output is read again");
	s->told_held = false;
	s->held_ms = 0;
	s->times_held += s->times_held < PENALTY_MAX;
	guard_rest();
	nanosleep(&time, NULL);
	guard_resume();
	s->busy = false;
	event.events = s->paused ? 0 : EPOLLIN;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
}

static void say_held(size_t node, size_t stream)
{
	struct stream *s = &readers[node]->streams[stream];

	if (s->told_held || !s->held_ms || log_now_ms() - s->held_ms < HELD_MS)
		return;
	s->told_held = true;
	logchannel_say(EVENT_WARNING, node, "log: its output cannot be read: a process holds the pipe");
}

/* Reads at most `size` bytes. False: paused, or held. */
static bool read_stream(size_t node, size_t stream, size_t size)
{
	struct stream *s = &readers[node]->streams[stream];

	while (size > 0) {
		bool in_time, room_left = true;
		size_t room;
		char *to = logsplit_room(&s->split, &room);
		ssize_t n;

		s->busy = true;
		guard_call(s);
		n = read(s->fd, to, size < room ? size : room);
		if (n < 0)
			n = -errno;
		in_time = guard_done();
		if (n > 0) {
			logsplit_filled(&s->split, (size_t)n);
			room_left = take_lines(node, stream, false);
			size -= (size_t)n;
		}
		if (!in_time) {
			released(node, stream);
			return false;
		}
		s->busy = false;
		if (!room_left)
			return false;
		if (n <= 0 && n != -EINTR)
			break;
	}
	return true;
}

void pipes_ready(size_t node, size_t stream)
{
	if (!readers[node]->streams[stream].paused && !readers[node]->streams[stream].busy)
		read_stream(node, stream, READS_A_TURN * LOG_LINE_MAX);
}

/* After the end of the process: reads the rest of its pipes and a last line without newline. False: paused, or held. */
static bool read_rest(size_t node)
{
	bool all = true;

	for (size_t k = 0; k < LOG_STREAMS; k++) {
		struct stream *s = &readers[node]->streams[k];

		if (s->fd < 0)
			continue;
		if (s->busy || !take_lines(node, k, false) || !read_stream(node, k, REST_MAX) ||
		    !take_lines(node, k, true))
			all = false;
		if (guard_late())
			return false;
	}
	return all;
}

static void end_process(size_t node)
{
	struct reader *r = readers[node];

	r->end_due = !read_rest(node);
	if (!r->end_due)
		logchannel_send(LOG_READ, node, r->end, NULL, 0);
}

void pipes_resume(void)
{
	for (size_t i = 0; i < n_nodes && !guard_late(); i++) {
		for (size_t k = 0; readers[i] && k < LOG_STREAMS; k++) {
			say_held(i, k);
			if (readers[i]->streams[k].paused && !readers[i]->streams[k].busy && take_lines(i, k, false))
				want(i, k, true);
		}
		if (readers[i] && readers[i]->end_due)
			end_process(i);
	}
}

bool pipes_wait(void)
{
	for (size_t i = 0; i < n_nodes; i++)
		for (size_t k = 0; readers[i] && k < LOG_STREAMS; k++)
			if (readers[i]->streams[k].paused || readers[i]->streams[k].held_ms)
				return true;
	return false;
}

void pipes_ended(size_t node, uint32_t argument)
{
	if (!readers[node])
		return;
	readers[node]->end = argument;
	end_process(node);
}

bool pipes_read_all(void)
{
	bool all = true;

	for (size_t i = 0; i < n_nodes && !guard_late(); i++)
		if (readers[i] && !read_rest(i))
			all = false;
	return all;
}

bool pipes_has(size_t node)
{
	return readers[node];
}

int pipes_add_node(size_t node)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	for (size_t k = 0; k < LOG_STREAMS; k++)
		r->streams[k].fd = -1;
	readers[node] = r;
	return 0;
}

int pipes_add(size_t node, size_t stream, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = PIPES_KEY(node, stream)};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	readers[node]->streams[stream].fd = fd;
	return 0;
}

int pipes_init(size_t nodes, int epoll)
{
	n_nodes = nodes;
	epoll_fd = epoll;
	readers = calloc(nodes, sizeof(*readers));
	return readers ? 0 : -ENOMEM;
}
