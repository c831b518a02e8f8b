/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements report.h. Messages are built on the stack and sent whole: nothing is allocated, so a role that runs out of
 * memory can still report that. Messages of PID 1 are checked as strictly as PID 1 checks them: kind, exact size,
 * exactly one descriptor, sealed. Answers that arrive while another artifact is waited for are kept until they are
 * asked for.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>

#include "fdpass.h"
#include "memfd.h"

#define ASKED_MAX 8

enum answer {
	ANSWER_FREE,
	ANSWER_PENDING,
	ANSWER_TAKEN,
	ANSWER_ABSENT,
};

static struct {
	char name[ARTIFACT_NAME_MAX + 1];
	enum answer answer;
	int fd;
} asked[ASKED_MAX];

static int report_fd = REPORT_FD;
static bool has_result;

struct message {
	struct report_head head;
	char body[REPORT_BODY_MAX];
};

/* Whole or not at all; waits while the socket is full, whether or not it is in blocking mode. */
static int send_message(const struct message *message, int fd)
{
	struct iovec part = {(void *)message, sizeof(message->head) + message->head.size};

	for (;;) {
		struct pollfd p = {.fd = report_fd, .events = POLLOUT};
		int r = fd_send(report_fd, &part, 1, &fd, fd >= 0, 0);

		if (r != -EAGAIN && r != -ENOBUFS)
			return r;
		(void)poll(&p, 1, 100);
	}
}

/* Formats at body + at, cut at a UTF-8 boundary to at most `limit` bytes; returns the text's size. */
static size_t format(struct message *m, size_t at, size_t limit, const char *fmt, va_list ap)
{
	size_t size;
	int n;

	n = vsnprintf(m->body + at, sizeof(m->body) - at, fmt, ap);
	if (n < 0)
		n = 0;
	size = (size_t)n;
	if (size > sizeof(m->body) - at - 1)
		size = sizeof(m->body) - at - 1;
	if (size > limit) {
		size = limit;
		while (size > 0 && ((unsigned char)m->body[at + size] & 0xC0) == 0x80)
			size--;
	}
	return size;
}

static int say(enum report_kind kind, enum event_level level, unsigned flags, size_t limit,
	       const char *const fields[], const char *fmt, va_list ap)
{
	struct message m = {.head = {.kind = kind, .level = level, .flags = flags}};
	size_t size, fields_size = 0;

	size = format(&m, 0, limit, fmt, ap);
	for (size_t i = 0; fields && fields[i]; i++) {
		size_t n = strlen(fields[i]) + 1;

		if (fields_size + n > EVENT_FIELDS_MAX || size + 1 + fields_size + n > sizeof(m.body))
			break;
		m.body[size] = '\0';
		memcpy(m.body + size + 1 + fields_size, fields[i], n);
		fields_size += n;
	}
	m.head.size = size + (fields_size ? 1 + fields_size : 0);
	return send_message(&m, -1);
}

void report_event(enum event_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)say(REPORT_EVENT, level, 0, EVENT_TEXT_MAX, NULL, fmt, ap);
	va_end(ap);
}

void report_fields(enum event_level level, const char *const fields[], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)say(REPORT_EVENT, level, 0, EVENT_TEXT_MAX, fields, fmt, ap);
	va_end(ap);
}

void report_progress(uint64_t done, uint64_t total, uint64_t per_second, uint32_t eta_s, const char *fmt, ...)
{
	struct message m = {.head = {.kind = REPORT_PROGRESS, .level = EVENT_INFO}};
	struct report_progress progress = {
		.done = done,
		.total = total,
		.per_second = per_second,
		.eta_s = eta_s,
	};
	va_list ap;

	memcpy(m.body, &progress, sizeof(progress));
	va_start(ap, fmt);
	m.head.size = sizeof(progress) + format(&m, sizeof(progress), EVENT_TEXT_MAX, fmt, ap);
	va_end(ap);
	(void)send_message(&m, -1);
}

static int result(unsigned flags, const char *fmt, va_list ap)
{
	has_result = true;
	return say(REPORT_RESULT, EVENT_INFO, flags, EVENT_TEXT_MAX, NULL, fmt, ap);
}

int report_result(const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = result(0, fmt, ap);
	va_end(ap);
	return r;
}

int report_skipped(const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = result(REPORT_SKIPPED, fmt, ap);
	va_end(ap);
	return r;
}

bool report_has_result(void)
{
	return has_result;
}

int report_send(int kind, const void *body, size_t size)
{
	struct message m = {.head = {.kind = (uint16_t)kind, .level = EVENT_INFO, .size = (uint32_t)size}};

	if (size > sizeof(m.body))
		return -EMSGSIZE;
	if (size)
		memcpy(m.body, body, size);
	return send_message(&m, -1);
}

static int message_name(struct message *m, enum report_kind kind, const char *artifact)
{
	size_t size = strlen(artifact);

	if (size == 0 || size > ARTIFACT_NAME_MAX)
		return -EINVAL;
	m->head = (struct report_head){.kind = kind, .size = size};
	memcpy(m->body, artifact, size);
	return 0;
}

int report_give(const char *artifact, const void *bytes, size_t size)
{
	_cleanup_(cleanup_close) int fd = -1;
	struct message m = {0};
	int r;

	if (size > ARTIFACT_SIZE_MAX)
		return -EFBIG;
	r = message_name(&m, REPORT_GIVE, artifact);
	if (r < 0)
		return r;
	fd = memfd_sealed(artifact, bytes, size);
	if (fd < 0)
		return fd;
	return send_message(&m, fd);
}

static int find_asked(const char *name, size_t size)
{
	for (int i = 0; i < ASKED_MAX; i++) {
		if (asked[i].answer != ANSWER_FREE && strlen(asked[i].name) == size &&
		    memcmp(asked[i].name, name, size) == 0)
			return i;
	}
	return -1;
}

/* One datagram from PID 1 into the table. 0 also when it was not worth keeping. */
static int receive(void)
{
	_cleanup_(fd_close) struct fd_received received = {.n = 0};
	struct message m;
	struct iovec part = {&m, sizeof(m)};
	ssize_t n = fd_receive(report_fd, &part, 1, 1, &received, MSG_DONTWAIT);
	int i;

	if (n < 0)
		return n == -EINTR || n == -EAGAIN ? 0 : (int)n;
	if (n == 0)
		return -EPIPE;
	if (received.cut || received.dropped || (size_t)n < sizeof(m.head) || (size_t)n != sizeof(m.head) + m.head.size)
		return -EBADMSG;
	i = find_asked(m.body, m.head.size);
	if (i < 0 || asked[i].answer != ANSWER_PENDING)
		return 0;
	if (m.head.kind == REPORT_TAKEN && received.n == 1 && memfd_check(received.fds[0], ARTIFACT_SIZE_MAX) == 0) {
		asked[i].answer = ANSWER_TAKEN;
		asked[i].fd = received.fds[0];
		received.n = 0;
		return 0;
	}
	if (m.head.kind == REPORT_ABSENT && received.n == 0) {
		asked[i].answer = ANSWER_ABSENT;
		return 0;
	}
	return -EBADMSG;
}

static int ask(const char *artifact)
{
	struct message m = {0};
	int r, i;

	r = message_name(&m, REPORT_TAKE, artifact);
	if (r < 0)
		return r;
	i = find_asked(artifact, strlen(artifact));
	if (i >= 0)
		return i;
	for (i = 0; i < ASKED_MAX && asked[i].answer != ANSWER_FREE; i++)
		;
	if (i == ASKED_MAX)
		return -ENOBUFS;
	r = send_message(&m, -1);
	if (r < 0)
		return r;
	strcpy(asked[i].name, artifact);
	asked[i].answer = ANSWER_PENDING;
	asked[i].fd = -1;
	return i;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int report_take(const char *artifact, int timeout_ms, int *ret_fd)
{
	int64_t end = now_ms() + (timeout_ms > 0 ? timeout_ms : 0);
	int r, i;

	i = ask(artifact);
	if (i < 0)
		return i;
	while (asked[i].answer == ANSWER_PENDING) {
		struct pollfd p = {.fd = report_fd, .events = POLLIN};
		int64_t left = end - now_ms();

		r = poll(&p, 1, timeout_ms < 0 ? -1 : left > 0 ? (int)left : 0);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return -ETIMEDOUT;
		if (r > 0) {
			r = receive();
			if (r < 0)
				return r;
		}
	}
	r = asked[i].answer == ANSWER_TAKEN ? 0 : -ENOENT;
	asked[i].answer = ANSWER_FREE;
	if (r == 0)
		*ret_fd = asked[i].fd;
	return r;
}

int report_move(int least)
{
	int fd = fcntl(report_fd, F_DUPFD_CLOEXEC, least);

	if (fd < 0)
		return -errno;
	close(report_fd);
	report_fd = fd;
	return 0;
}

bool report_closed(void)
{
	char byte;

	return recv(report_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}
