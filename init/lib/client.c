/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements client.h. Each request and each message is one datagram. The messages of PID 1 are checked although PID 1
 * is trusted: a reader should not depend on its writer being right.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "fdpass.h"

int client_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int client_request_with(int fd, enum control_kind kind, unsigned flags, int64_t argument, const void *body, size_t size,
			int attached)
{
	struct control_head head = {.kind = kind, .flags = (uint16_t)flags, .size = (uint32_t)size,
				    .argument = argument};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)body, size}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	union fd_room room = {0};

	if (size > CONTROL_BODY_MAX)
		return -EMSGSIZE;
	if (attached >= 0)
		fd_attach(&message, &room, attached);
	for (;;) {
		if (sendmsg(fd, &message, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int client_request(int fd, enum control_kind kind, unsigned flags, int64_t argument, const void *body, size_t size)
{
	return client_request_with(fd, kind, flags, argument, body, size, -1);
}

int client_receive_with(int fd, struct control_message *ret, int *ret_attached)
{
	struct iovec iov[] = {{&ret->head, sizeof(ret->head)}, {ret->body, CONTROL_BODY_MAX}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	union fd_room room;
	int attached;
	ssize_t n;

	*ret_attached = -1;
	do {
		fd_expect(&message, &room);
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	attached = fd_attached(&message);
	if ((size_t)n < sizeof(ret->head) || (message.msg_flags & MSG_TRUNC) ||
	    ret->head.size != (size_t)n - sizeof(ret->head)) {
		if (attached >= 0)
			close(attached);
		return -EBADMSG;
	}
	ret->body[ret->head.size] = '\0';
	*ret_attached = attached;
	return 1;
}

int client_receive(int fd, struct control_message *ret)
{
	int attached, r = client_receive_with(fd, ret, &attached);

	if (attached >= 0)
		close(attached);
	return r;
}
