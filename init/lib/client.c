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

	return size > CONTROL_BODY_MAX ? -EMSGSIZE : fd_send(fd, iov, 2, &attached, attached >= 0, 0);
}

int client_request(int fd, enum control_kind kind, unsigned flags, int64_t argument, const void *body, size_t size)
{
	return client_request_with(fd, kind, flags, argument, body, size, -1);
}

int client_receive_with(int fd, struct control_message *ret, int *ret_attached)
{
	struct iovec iov[] = {{&ret->head, sizeof(ret->head)}, {ret->body, CONTROL_BODY_MAX}};
	struct fd_received received;
	ssize_t n;

	*ret_attached = -1;
	do
		n = fd_receive(fd, iov, 2, 1, &received, 0);
	while (n == -EINTR);
	if (n <= 0) {
		fd_close(&received);
		return (int)n;
	}
	if ((size_t)n < sizeof(ret->head) || received.cut || ret->head.size != (size_t)n - sizeof(ret->head)) {
		fd_close(&received);
		return -EBADMSG;
	}
	ret->body[ret->head.size] = '\0';
	*ret_attached = received.fds[0];
	return 1;
}

int client_receive(int fd, struct control_message *ret)
{
	int attached, r = client_receive_with(fd, ret, &attached);

	if (attached >= 0)
		close(attached);
	return r;
}
