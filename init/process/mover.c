/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements mover.h. A pipe is read only while its socket has room, so bytes that PID 1 does not take stay in the
 * pipe, and their writer waits. A pipe that was held is left alone for a while after that, longer each time: whoever
 * holds and releases a pipe in turns must not keep the other pipes waiting.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "birth.h"
#include "init/lib/fdpass.h"
#include "init/lib/guard.h"
#include "mover.h"
#include "relay.h"

#define CHANNEL     3
#define EPOLL       4
#define STACK       (64 * 1024)
#define BATCH       32
#define ORDERS      16			/* in one turn */
#define REST_MAX    (1 << 20)		/* bytes of one that has ended: as much as a pipe of an ordinary user holds */
#define PENALTY_MS  100
#define PENALTIES   7			/* doublings of it */
#define COOL_NS     200000		/* for a pipe into which small writes come without end: few large reads */
#define COOL_BYTES  16384		/* ... cost less than many of less than this */
#define MOVES       8			/* of one pipe in one turn */

struct link {
	struct link *next;	/* of those to be freed */
	struct link *next_cooling;
	int pipe, socket;
	int writer;		/* its end to write to; -1: none */
	bool in_loop;		/* the pipe is */
	bool busy;		/* a thread is in a call on the pipe, or sits a penalty */
	bool given;		/* the writer is to be closed */
	bool finishing;		/* the socket is to be closed after the rest of the pipe */
	bool over;		/* to be freed */
	bool cooling;		/* left alone for COOL_NS */
	int64_t moved_ns;	/* when it was read last */
	unsigned times_held;
	size_t rest;		/* bytes that may still be read, once finishing */
};

/* What an event of epoll is about; the lowest bit of the link's address: its socket. */
#define OF_SOCKET 1UL

static struct link *freed, *cooling;
static int64_t cool_ns;		/* when those that cool are looked at again */

static void tell(struct link *link, enum relay_word word)
{
	const char byte = (char)word;

	(void)send(link->socket, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- calls on a pipe --------------------------------------------------------------------------------------------- */

static void in_loop(struct link *link, bool on)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uintptr_t)link};

	if (on != link->in_loop)
		(void)epoll_ctl(EPOLL, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, link->pipe, &event);
	link->in_loop = on;
}

/* Called by the thread that goes on. */
static void held(void *with)
{
	struct link *link = with;

	in_loop(link, false);
	tell(link, RELAY_HELD);
}

static void begin_call(struct link *link)
{
	link->busy = true;
	guard_call(link);
}

static void sit_penalty(struct link *link)
{
	unsigned shift = link->times_held < PENALTIES ? link->times_held++ : PENALTIES;
	int64_t ms = (int64_t)PENALTY_MS << shift;
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	guard_rest();
	nanosleep(&time, NULL);
	guard_resume();
}

static void end_call(struct link *link)
{
	if (!guard_done()) {
		tell(link, RELAY_FREE);
		if (!link->finishing)
			sit_penalty(link);
	}
	link->busy = false;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static bool has_room(const struct link *link)
{
	struct pollfd fd = {.fd = link->socket, .events = POLLOUT};

	return poll(&fd, 1, 0) > 0;	/* also for one that PID 1 has closed: the bytes are lost */
}

static void want(struct link *link, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = (uintptr_t)link | OF_SOCKET};

	if (epoll_ctl(EPOLL, EPOLL_CTL_MOD, link->socket, &event) < 0 && errno == ENOENT)
		(void)epoll_ctl(EPOLL, EPOLL_CTL_ADD, link->socket, &event);
}

static void await_room(struct link *link)
{
	in_loop(link, false);
	want(link, EPOLLOUT | (link->finishing ? 0 : EPOLLIN));
}

/* Moves what one read returns. Its size; 0: the end; negative errno. */
static ssize_t move(struct link *link)
{
	char message[1 + RELAY_BYTES_MAX];
	ssize_t n;

	begin_call(link);
	n = read(link->pipe, message + 1, RELAY_BYTES_MAX);
	if (n < 0)
		n = -errno;
	message[0] = RELAY_BYTES;
	end_call(link);
	if (n > 0)
		(void)send(link->socket, message, 1 + (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n;
}

static void close_writer(struct link *link)
{
	int fd = link->writer;

	if (fd < 0 || !link->given)
		return;
	link->writer = -1;
	begin_call(link);
	close(fd);
	end_call(link);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void cool(struct link *link)
{
	in_loop(link, false);
	if (!cooling)
		cool_ns = link->moved_ns + COOL_NS;
	link->cooling = true;
	link->next_cooling = cooling;
	cooling = link;
}

static void stop_cooling(struct link *link)
{
	struct link **at = &cooling;

	if (!link->cooling)
		return;
	while (*at != link)
		at = &(*at)->next_cooling;
	*at = link->next_cooling;
	link->cooling = false;
}

/* The socket comes last: until then PID 1 counts the pipe as one that may be held. */
static void end_link(struct link *link)
{
	in_loop(link, false);
	stop_cooling(link);
	link->given = true;
	close_writer(link);
	begin_call(link);
	close(link->pipe);
	end_call(link);
	close(link->socket);
	link->over = true;
	link->next = freed;
	freed = link;
}

/* After the end of its process: the rest of the pipe, then the end of the socket. */
static void finish(struct link *link)
{
	while (link->rest > 0) {
		ssize_t n;

		if (!has_room(link)) {
			await_room(link);
			return;
		}
		n = move(link);
		if (n <= 0 && n != -EINTR)
			break;
		link->rest -= n > 0 && (size_t)n < link->rest ? (size_t)n : link->rest;
	}
	end_link(link);
}

/* After a call on its pipe: what has come to be done meanwhile. */
static void go_on(struct link *link)
{
	if (link->busy || link->over)
		return;
	if (link->given)
		close_writer(link);
	if (link->finishing)
		finish(link);
	else if (!link->cooling)
		in_loop(link, true);
}

static void pipe_ready(struct link *link)
{
	int64_t before_ns = link->moved_ns;
	ssize_t n = RELAY_BYTES_MAX;
	size_t moved = 0;

	for (int i = 0; i < MOVES && n == RELAY_BYTES_MAX; i++) {
		if (!has_room(link)) {
			await_room(link);
			return;
		}
		n = move(link);
		moved += n > 0 ? (size_t)n : 0;
		if (guard_late())
			break;
	}
	if (n == 0)
		link->finishing = true;
	link->moved_ns = now_ns();
	if (moved < COOL_BYTES && !link->finishing && link->moved_ns - before_ns < 2 * COOL_NS)
		cool(link);
	go_on(link);
}

static void warm_up(void)
{
	struct link *link;

	if (!cooling || now_ns() < cool_ns)
		return;
	while ((link = cooling)) {
		cooling = link->next_cooling;
		link->cooling = false;
		if (!link->busy)
			go_on(link);
	}
}

/* ---- PID 1 ------------------------------------------------------------------------------------------------------- */

static void socket_ready(struct link *link, uint32_t events)
{
	char byte;
	ssize_t n = events & ~(uint32_t)EPOLLOUT ? recv(link->socket, &byte, 1, MSG_DONTWAIT) : -1;

	if (n > 0)
		link->given = true;
	if (n == 0 || events & EPOLLHUP) {
		link->finishing = true;
		if (link->busy)		/* its thread finishes */
			(void)epoll_ctl(EPOLL, EPOLL_CTL_DEL, link->socket, NULL);
	}
	if (!link->busy && !link->finishing && events & EPOLLOUT)
		want(link, EPOLLIN);
	go_on(link);
}

/* Descriptors are the relay's; a link that cannot be made has lost its output, and PID 1 sees its socket end. */
static void add_link(const struct fd_received *received)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct link *link = calloc(1, sizeof(*link));

	if (!link) {
		for (size_t i = 0; i < received->n; i++)
			close(received->fds[i]);
		return;
	}
	*link = (struct link){.pipe = received->fds[0], .socket = received->fds[1],
			      .writer = received->n > 2 ? received->fds[2] : -1, .rest = REST_MAX};
	event.data.u64 = (uintptr_t)link | OF_SOCKET;
	(void)epoll_ctl(EPOLL, EPOLL_CTL_ADD, link->socket, &event);
	in_loop(link, true);
}

static void take_orders(void)
{
	struct relay_order order;
	struct iovec part = {&order, sizeof(order)};
	struct fd_received received;

	for (int i = 0; i < ORDERS; i++) {
		ssize_t n = fd_receive(CHANNEL, &part, 1, 3, &received, MSG_DONTWAIT);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n != sizeof(order) || received.n != (order.writer ? 3 : 2))
			_exit(0);	/* PID 1 is gone */
		add_link(&received);
	}
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

static void turn(void)
{
	static const struct timespec cool_time = {.tv_nsec = COOL_NS};
	struct epoll_event events[BATCH];
	struct link *link;
	bool late = false;
	int n;

	guard_rest();
	n = (int)syscall(SYS_epoll_pwait2, EPOLL, events, BATCH, cooling ? &cool_time : NULL, NULL, 0);
	guard_resume();
	for (int i = 0; i < n && !late; i++) {
		uint64_t key = events[i].data.u64;

		link = (struct link *)(uintptr_t)(key & ~OF_SOCKET);
		if (!link)
			take_orders();
		else if (!link->over && key & OF_SOCKET)
			socket_ready(link, events[i].events);
		else if (!link->over && !link->busy && link->in_loop)
			pipe_ready(link);
		late = guard_late();
	}
	if (!late)
		warm_up();
	while (!late && (link = freed)) {
		freed = link->next;
		free(link);
	}
}

/* /proc is there at the first order, and not before. */
static void await_order(void)
{
	struct pollfd fd = {.fd = CHANNEL, .events = POLLIN};

	while (poll(&fd, 1, -1) < 0 && errno == EINTR)
		;
}

_Noreturn void mover_serve(int channel, int (*give_up_rights)(void))
{
	static const struct guard guard = {.turn = turn, .held = held, .stack_size = STACK};
	struct epoll_event event = {.events = EPOLLIN};
	sigset_t all;

	prctl(PR_SET_NAME, RELAY_NAME);
	birth_default_signals();
	sigfillset(&all);		/* nobody has a reason to signal it */
	sigprocmask(SIG_BLOCK, &all, NULL);
	setsid();
	if (dup2(channel, CHANNEL) != CHANNEL)
		_exit(1);
	syscall(SYS_close_range, CHANNEL + 1, ~0U, 0);
	if (epoll_create1(EPOLL_CLOEXEC) != EPOLL || epoll_ctl(EPOLL, EPOLL_CTL_ADD, CHANNEL, &event) < 0)
		_exit(1);
	await_order();
	if (give_up_rights() < 0)
		_exit(1);
	guard_run(&guard);
	_exit(1);
}
