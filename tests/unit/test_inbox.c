/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of senders that PID 1 does not trust: no descriptor of theirs stays in the reader, nor does it wait for one. */
/* links: init/lib */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "init/lib/fdpass.h"
#include "init/lib/inbox.h"
#include "init/lib/loop.h"
#include "init/lib/memfd.h"
#include "test.h"

#define LINGER_S 3
#define AT_ONCE_NS 1500000000LL		/* half of that: far above what a clone takes on a loaded machine */

static int pair[2];

static void connect_pair(int type)
{
	CHECK_INT(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
}

static void reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, 0)) > 0)
		inbox_reaped(pid);
}

static int count_open(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

/* A connected TCP socket with unsent bytes, whose last close(2) waits. The peer is *ret_peer. */
static int lingering(int *ret_peer)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger linger = {1, LINGER_S};
	static char bytes[1 << 16];
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_INT(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)), 0);
	CHECK_INT(bind(listener, (struct sockaddr *)&address, size), 0);
	CHECK_INT(listen(listener, 1), 0);
	CHECK_INT(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	CHECK_INT(connect(fd, (struct sockaddr *)&address, size), 0);
	*ret_peer = accept(listener, NULL, NULL);
	close(listener);
	CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	CHECK_INT(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	return fd;
}

static void post(int to, const char *text, const int *fds, size_t n)
{
	struct iovec part = {(void *)text, strlen(text)};

	CHECK_INT(fd_send(to, &part, 1, fds, n, 0), 0);
}

/* Puts a lingering socket into `depth` other sockets' queues, one in the other, and returns the outermost. */
static int nested(int depth, int *ret_peer)
{
	int fd = lingering(ret_peer);

	while (depth-- > 0) {
		int inner[2];

		CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, inner), 0);
		post(inner[0], "x", &fd, 1);
		close(fd);
		close(inner[0]);
		fd = inner[1];
	}
	return fd;
}

static ssize_t receive(unsigned kinds, char *text, size_t size, struct inbox_message *ret)
{
	struct iovec part = {text, size};

	return inbox_receive(pair[1], &part, 1, kinds, ret);
}

TEST(a_message_without_descriptors_comes_as_it_was_sent)
{
	struct inbox_message message;
	char text[4];

	connect_pair(SOCK_SEQPACKET);
	CHECK_INT(receive(INBOX_NOTHING, text, sizeof(text), &message), -EAGAIN);
	post(pair[0], "hello", NULL, 0);
	post(pair[0], "more", NULL, 0);
	CHECK_INT(receive(INBOX_NOTHING, text, sizeof(text), &message), 4);
	CHECK(message.cut && !message.removed && message.fd == -1);
	CHECK(!memcmp(text, "hell", 4));
	CHECK_INT(receive(INBOX_NOTHING, text, sizeof(text), &message), 4);
	CHECK(!message.cut && !message.removed && message.sender.pid == 0);
	CHECK(!memcmp(text, "more", 4));
	close(pair[0]);
	CHECK_INT(receive(INBOX_NOTHING, text, sizeof(text), &message), 0);
	CHECK(!message.removed);
}

TEST(a_lingering_descriptor_at_any_depth_keeps_nobody_waiting)
{
	for (int depth = 0; depth < 4; depth++) {
		struct inbox_message message;
		int64_t start = loop_now_ns();
		char text[16];
		int peer, fd = nested(depth, &peer), before;

		connect_pair(SOCK_DGRAM);
		CHECK_INT(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)), 0);
		post(pair[0], "hello", &fd, 1);
		post(pair[0], "next", NULL, 0);
		close(fd);
		before = count_open();
		CHECK_INT(receive(INBOX_NOTHING, text, sizeof(text), &message), 5);
		CHECK(message.removed && message.fd == -1);
		CHECK_INT(message.sender.pid, getpid());
		CHECK_INT(receive(INBOX_NOTHING, text, sizeof(text), &message), 4);
		CHECK(!message.removed);
		CHECK_INT(message.sender.uid, getuid());
		CHECK(!memcmp(text, "next", 4));
		CHECK_INT(count_open(), before);
		reap();
		CHECK(loop_now_ns() - start < AT_ONCE_NS);
		close(peer);
		close(pair[0]);
		close(pair[1]);
	}
}

TEST(as_many_descriptors_as_a_message_can_have_leave_none_behind)
{
	struct inbox_message message;
	char text[16];
	int fds[FDPASS_MAX], before;

	connect_pair(SOCK_SEQPACKET);
	for (size_t i = 0; i < FDPASS_MAX; i++)
		fds[i] = pair[0];
	before = count_open();
	for (size_t n = 1; n <= FDPASS_MAX; n++) {
		post(pair[0], "", fds, n);
		CHECK_INT(receive(INBOX_MEMFD, text, sizeof(text), &message), 0);
		CHECK(message.removed && message.fd == -1);
		reap();
	}
	CHECK_INT(count_open(), before);
}

TEST(only_a_descriptor_of_a_kind_that_was_asked_for_is_taken)
{
	int memfd = memfd_sealed("test", "secret", 6), null = open("/dev/null", O_RDWR | O_CLOEXEC), sock[2];
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	struct inbox_message message;
	char text[16];

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
	connect_pair(SOCK_SEQPACKET);
	const struct {
		unsigned kinds;
		int fd;
		bool taken;
	} cases[] = {
		{INBOX_MEMFD, memfd, true},	{INBOX_MEMFD, null, false},	{INBOX_MEMFD, sock[0], false},
		{INBOX_SOCKET, sock[0], true},	{INBOX_SOCKET, memfd, false},	{INBOX_SOCKET, tcp, false},
		{INBOX_NOTHING, memfd, false},	{INBOX_MEMFD | INBOX_SOCKET, memfd, true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		post(pair[0], "take", &cases[i].fd, 1);
		CHECK_INT(receive(cases[i].kinds, text, sizeof(text), &message), 4);
		CHECK(message.removed);
		CHECK_INT(message.fd >= 0, cases[i].taken);
		if (message.fd >= 0)
			CHECK_INT(fcntl(message.fd, F_GETFD), FD_CLOEXEC);
		if (cases[i].fd == memfd && message.fd >= 0) {
			CHECK_INT(memfd_check(message.fd, 6), 0);
			CHECK_INT(pread(message.fd, text, sizeof(text), 0), 6);
			CHECK(!memcmp(text, "secret", 6));
			inbox_close(message.fd);
			CHECK_INT(fcntl(message.fd, F_GETFD), -1);
		}
		reap();
	}
	int both[] = {memfd, memfd};
	post(pair[0], "take", both, 2);
	CHECK_INT(receive(INBOX_MEMFD, text, sizeof(text), &message), 4);
	CHECK_INT(message.fd, -1);
}

TEST(a_socket_whose_queue_holds_lingering_descriptors_is_closed_at_once)
{
	static const int types[] = {SOCK_SEQPACKET, SOCK_STREAM};

	for (size_t i = 0; i < 2; i++) {
		int64_t start;
		int peers[2], fds[2] = {nested(0, &peers[0]), nested(2, &peers[1])};
		char byte;

		connect_pair(types[i]);
		if (types[i] == SOCK_SEQPACKET)
			post(pair[0], "", NULL, 0);	/* looks like the end, and is not */
		post(pair[0], "one", NULL, 0);
		post(pair[0], "two", &fds[0], 1);
		post(pair[0], types[i] == SOCK_STREAM ? "three" : "", &fds[1], 1);
		post(pair[0], "four", NULL, 0);
		close(fds[0]);
		close(fds[1]);
		start = loop_now_ns();
		inbox_close(pair[1]);
		CHECK_INT(fcntl(pair[1], F_GETFD), -1);
		CHECK_INT(read(pair[0], &byte, 1), 0);
		reap();
		CHECK(loop_now_ns() - start < AT_ONCE_NS);
		close(peers[0]);
		close(peers[1]);
		close(pair[0]);
	}
}

TEST(an_empty_socket_is_closed_without_a_child_and_what_was_sent_arrives)
{
	char text[8];

	connect_pair(SOCK_SEQPACKET);
	post(pair[1], "end", NULL, 0);
	inbox_close(pair[1]);
	CHECK_INT(waitpid(-1, NULL, 0), -1);
	CHECK_INT(read(pair[0], text, sizeof(text)), 3);
	CHECK_INT(read(pair[0], text, sizeof(text)), 0);
	inbox_close(-1);
}

/* ---- a socket that everybody sends to -------------------------------------------------------------------------- */

#define ROUNDS 3
#define A_ROUND 8		/* below the kernel's default for the length of a queue */

static struct loop_source everybody = LOOP_SOURCE_INIT;
static struct inbox_public box = INBOX_PUBLIC_INIT(&everybody);
static struct loop_timer late;
static int taken, awaited;

static void take_public(struct loop_source *source, uint32_t events)
{
	struct inbox_message message;
	char text[8];
	struct iovec part = {text, sizeof(text)};
	ssize_t n;

	(void)source;
	(void)events;
	while ((n = inbox_receive_public(&box, &part, 1, &message)) >= 0) {
		CHECK_INT(n, 4);
		CHECK_INT(message.sender.uid, getuid());
		CHECK_INT(message.fd, -1);
		CHECK_INT(message.removed, !memcmp(text, "held", 4));
		taken++;
	}
	CHECK_INT(n, -EAGAIN);
}

static void stop(struct loop_timer *timer)
{
	(void)timer;
	loop_stop();
}

static void when_taken(void)
{
	if (taken == awaited && !box.asked)
		loop_stop();
}

static void run_until(int number)
{
	awaited = number;
	loop_arm(&late, loop_now_ns() + 10000000000LL);
	loop_run(when_taken);
	CHECK_INT(taken, number);
}

/* A process that has the lock of the pipe whose write end it is. */
static pid_t hold(int into)
{
	int silent[2];
	pid_t pid;

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, silent), 0);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		close(pair[1]);
		splice(silent[0], NULL, into, NULL, 4096, 0);
		_exit(0);
	}
	poll(NULL, 0, 200);
	return pid;
}

TEST(descriptors_whose_last_close_waits_keep_no_message_of_anybody_waiting)
{
	pid_t holders[ROUNDS], ended = 0;
	int before, left = 0;

	CHECK_INT(loop_init(), 0);
	connect_pair(SOCK_DGRAM);
	CHECK_INT(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)), 0);
	everybody.ready = take_public;
	late.fire = stop;
	CHECK_INT(loop_add(&everybody, pair[1], EPOLLIN), 0);
	before = count_open();
	for (int i = 0; i < ROUNDS; i++) {
		char path[64];
		int ends[2];

		CHECK_INT(pipe(ends), 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
		for (int k = 0; k < A_ROUND; k++) {
			int fd = open(path, O_WRONLY | O_CLOEXEC);

			post(pair[0], "held", &fd, 1);
			close(fd);
		}
		holders[i] = hold(ends[1]);
		close(ends[0]);
		close(ends[1]);
		post(pair[0], "next", NULL, 0);
		run_until((i + 1) * (A_ROUND + 1));
		CHECK_INT(box.held, A_ROUND);
		loop_arm(&late, loop_now_ns() + 1500000000LL);	/* its keeper is let go, and waits in its end */
		loop_run(NULL);
		CHECK_INT(box.keeper.fd, -1);
		while ((ended = waitpid(-1, NULL, WNOHANG)) > 0)
			inbox_reaped(ended);
		CHECK_INT(ended, 0);
	}
	CHECK(count_open() <= before + 2 * ROUNDS);	/* the ends of holders' silent sockets */
	for (int i = 0; i < ROUNDS; i++)
		kill(holders[i], SIGKILL);
	while ((ended = waitpid(-1, NULL, 0)) > 0) {
		inbox_reaped(ended);
		left++;
	}
	CHECK_INT(left, 2 * ROUNDS);	/* so one for all messages of a round */
}
