/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements fdpass.h. The room for control messages ends exactly behind the last descriptor that is taken: with
 * CMSG_SPACE() instead of CMSG_LEN() the padding would hold one more, which would never be closed.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fdpass.h"

union room {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int) * FDPASS_MAX)];
};

int fd_send(int socket, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds, int flags)
{
	union room room = {0};
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = n_parts};

	assert(n_fds <= FDPASS_MAX);
	if (n_fds) {
		room.head.cmsg_level = SOL_SOCKET;
		room.head.cmsg_type = SCM_RIGHTS;
		room.head.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&room.head), fds, sizeof(int) * n_fds);
		message.msg_control = room.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	}
	for (;;) {
		if (sendmsg(socket, &message, flags | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

static void take_rights(struct cmsghdr *head, size_t most, struct fd_received *ret)
{
	for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= head->cmsg_len; at += sizeof(int)) {
		int fd;

		memcpy(&fd, CMSG_DATA(head) + at, sizeof(fd));
		if (ret->n < most) {
			ret->fds[ret->n++] = fd;
		} else {
			close(fd);
			ret->dropped = true;
		}
	}
}

ssize_t fd_receive(int socket, struct iovec *parts, size_t n_parts, size_t most, struct fd_received *ret, int flags)
{
	union room room;
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = n_parts, .msg_control = room.bytes,
				 .msg_controllen = most ? CMSG_LEN(sizeof(int) * most) : 0};
	ssize_t n;

	assert(most <= FDPASS_MAX);
	*ret = (struct fd_received){.n = 0};
	for (size_t i = 0; i < FDPASS_MAX; i++)
		ret->fds[i] = -1;
	n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head))
		if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
			take_rights(head, most, ret);
	ret->cut = message.msg_flags & MSG_TRUNC;
	ret->dropped |= (message.msg_flags & MSG_CTRUNC) != 0;
	return n;
}

void fd_close(struct fd_received *received)
{
	for (size_t i = 0; i < received->n; i++)
		if (received->fds[i] >= 0)
			close(received->fds[i]);
	received->n = 0;
}
