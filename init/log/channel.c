/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements channel.h. A message is dropped rather than waited for long: PID 1 may be busy, services print on. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "channel.h"
#include "init/lib/fdpass.h"

#define SEND_WAIT_MS 50

bool logchannel_send(enum log_kind kind, size_t node, uint32_t argument, const void *body, size_t size)
{
	struct log_head head = {.kind = (uint16_t)kind, .node = (uint16_t)node, .size = (uint32_t)size,
				.argument = argument};
	struct iovec parts[] = {{&head, sizeof(head)}, {(void *)body, size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	for (int i = 0; i < 2; i++) {
		struct pollfd p = {.fd = LOG_CHANNEL_FD, .events = POLLOUT};

		if (sendmsg(LOG_CHANNEL_FD, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return true;
		if (i == 0 && errno == EAGAIN)
			poll(&p, 1, SEND_WAIT_MS);
	}
	return false;
}

void logchannel_say(enum event_level level, size_t node, const char *fmt, ...)
{
	char text[512];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n > 0)
		logchannel_send(LOG_SAY, node, level, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

int logchannel_receive(struct log_head *head, void *body, int *ret_fd, int flags)
{
	struct iovec parts[] = {{head, sizeof(*head)}, {body, LOG_BODY_MAX}};
	struct fd_received received;
	ssize_t n = fd_receive(LOG_CHANNEL_FD, parts, 2, 1, &received, flags);

	if (n < 0)
		return n == -EAGAIN || n == -EINTR ? 0 : (int)n;
	*ret_fd = received.fds[0];
	return (size_t)n >= sizeof(*head) && head->size == (size_t)n - sizeof(*head) ? 1 : -ECONNRESET;
}
