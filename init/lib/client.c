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

int client_request(int fd, enum control_kind kind, unsigned flags, int64_t argument, const void *body, size_t size)
{
	struct control_head head = {.kind = kind, .flags = (uint16_t)flags, .size = (uint32_t)size,
				    .argument = argument};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)body, size}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

	if (size > CONTROL_BODY_MAX)
		return -EMSGSIZE;
	for (;;) {
		if (sendmsg(fd, &message, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int client_receive(int fd, struct control_message *ret)
{
	struct iovec iov[] = {{&ret->head, sizeof(ret->head)}, {ret->body, CONTROL_BODY_MAX}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	do
		n = recvmsg(fd, &message, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	if ((size_t)n < sizeof(ret->head) || (message.msg_flags & MSG_TRUNC) ||
	    ret->head.size != (size_t)n - sizeof(ret->head))
		return -EBADMSG;
	ret->body[ret->head.size] = '\0';
	return 1;
}
