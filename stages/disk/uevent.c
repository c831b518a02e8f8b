/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The format: "ACTION@DEVPATH" NUL, then "KEY=VALUE" NUL until the end (lib/kobject_uevent.c of the kernel). The
 * parser keeps pointers into the message and copies nothing.
 */
#define _GNU_SOURCE
#include "uevent.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>

#include <gantry/cleanup.h>

#include "stages/lib/backoff.h"

#define KERNEL_GROUP 1
#define RECEIVE_BUFFER (1 << 20)	/* bytes; a machine with many disks sends hundreds of events at once */

int uevent_open(int *ret_fd)
{
	_cleanup_(cleanup_close) int fd = -1;
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
	int size = RECEIVE_BUFFER;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int uevent_parse(const char *message, size_t size, struct uevent *ret)
{
	static const struct {
		const char *key;
		size_t offset;
	} keys[] = {
		{"ACTION=", offsetof(struct uevent, action)},
		{"DEVPATH=", offsetof(struct uevent, devpath)},
		{"SUBSYSTEM=", offsetof(struct uevent, subsystem)},
		{"DEVTYPE=", offsetof(struct uevent, devtype)},
		{"DEVNAME=", offsetof(struct uevent, devname)},
	};
	struct uevent event = {0};
	const char *end = message + size, *at;

	if (size < 2 || end[-1] != '\0')
		return -EBADMSG;
	at = memchr(message, '@', strlen(message));
	if (!at || at == message || at[1] != '/')
		return -EBADMSG;
	for (at = message + strlen(message) + 1; at < end; at += strlen(at) + 1) {
		for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
			size_t length = strlen(keys[i].key);

			if (strncmp(at, keys[i].key, length) == 0)
				*(const char **)((char *)&event + keys[i].offset) = at + length;
		}
	}
	if (!event.action || !event.devpath || !event.subsystem)
		return -EBADMSG;
	*ret = event;
	return 0;
}

int uevent_receive(int fd, char buffer[UEVENT_SIZE_MAX], struct uevent *ret)
{
	for (;;) {
		struct sockaddr_nl sender = {0};
		struct iovec part = {.iov_base = buffer, .iov_len = UEVENT_SIZE_MAX};
		struct msghdr message = {
			.msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &part, .msg_iovlen = 1,
		};
		ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return errno == EAGAIN ? 0 : -errno;
		}
		if (sender.nl_pid != 0 || (message.msg_flags & MSG_TRUNC))
			continue;
		if (uevent_parse(buffer, (size_t)n, ret) == 0)
			return 1;
	}
}

int uevent_wait(int fd, const char *subsystem, int64_t until_ms)
{
	for (;;) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};
		char buffer[UEVENT_SIZE_MAX];
		int64_t left = until_ms - time_now_ms();
		struct uevent event;
		bool changed = false;
		int r;

		if (poll(&pollfd, 1, left > 0 ? (int)left : 0) < 0 && errno != EINTR)
			return -errno;
		while ((r = uevent_receive(fd, buffer, &event)) > 0)
			changed |= strcmp(event.subsystem, subsystem) == 0;
		if (r == -ENOBUFS)
			changed = true;
		else if (r < 0)
			return r;
		if (changed || time_now_ms() >= until_ms)
			return 0;
	}
}
