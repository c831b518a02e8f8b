/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors that come with a message: as many as the receiver takes stay open in it, whatever the sender attaches. */
/* links: init/lib */
#include <dirent.h>
#include <fcntl.h>

#include "init/lib/fdpass.h"
#include "test.h"

static int pair[2];

static void connect_pair(void)
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
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

/* A message with n copies of one pipe. */
static void send_copies(const char *text, size_t n)
{
	struct iovec part = {(void *)text, strlen(text)};
	int ends[2], fds[FDPASS_MAX];

	CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
	for (size_t i = 0; i < n; i++)
		fds[i] = ends[1];
	CHECK_INT(fd_send(pair[0], &part, 1, fds, n, 0), 0);
	close(ends[0]);
	close(ends[1]);
}

static ssize_t receive(size_t most, char *text, size_t size, struct fd_received *ret)
{
	struct iovec part = {text, size};

	return fd_receive(pair[1], &part, 1, most, ret, MSG_DONTWAIT);
}

TEST(exactly_the_descriptors_that_were_asked_for_are_kept)
{
	static const struct {
		size_t sent, most, kept;
	} cases[] = {{0, 0, 0}, {0, 1, 0}, {1, 1, 1}, {2, 1, 1}, {3, 1, 1}, {8, 1, 1}, {2, 0, 0}, {4, 3, 3}, {8, 8, 8}};
	char text[16];

	connect_pair();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fd_received received;
		int before = count_open();

		send_copies("hello", cases[i].sent);
		CHECK_INT(receive(cases[i].most, text, sizeof(text), &received), 5);
		CHECK_INT(received.n, cases[i].kept);
		CHECK_INT(received.dropped, cases[i].sent > cases[i].most);
		CHECK_INT(count_open(), before + (int)cases[i].kept);
		for (size_t k = 0; k < FDPASS_MAX; k++)
			CHECK_INT(received.fds[k] >= 0, k < cases[i].kept);
		for (size_t k = 0; k < received.n; k++)
			CHECK_INT(fcntl(received.fds[k], F_GETFD), FD_CLOEXEC);
		fd_close(&received);
		CHECK_INT(count_open(), before);
	}
}

TEST(a_message_longer_than_its_room_and_the_end_are_told_apart_from_the_rest)
{
	struct fd_received received;
	char text[4];

	connect_pair();
	CHECK_INT(receive(1, text, sizeof(text), &received), -EAGAIN);
	CHECK_INT(received.fds[0], -1);
	send_copies("hello", 1);
	CHECK_INT(receive(1, text, sizeof(text), &received), 4);
	CHECK(received.cut && !received.dropped);
	fd_close(&received);
	send_copies("more", 0);
	CHECK_INT(receive(1, text, sizeof(text), &received), 4);
	CHECK(!received.cut && !received.dropped);
	close(pair[0]);
	CHECK_INT(receive(1, text, sizeof(text), &received), 0);
	CHECK_INT(received.n, 0);
}

