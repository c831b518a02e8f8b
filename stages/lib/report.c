/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages are built on the stack and sent whole: nothing is allocated, so a stage that runs out of memory can
 * still say so. What comes back from PID 1 is checked as strictly as PID 1 checks us: kind, exact size, exactly one
 * descriptor, sealed. Answers that arrive while another artifact is waited for are kept until they are asked for.
 */
#define _GNU_SOURCE
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>

#include "file.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

#define SEALS   (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define ASKED_MAX 8
#define FACT_VALUE_MAX 200

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

static bool has_result;
static char facts[NODE_FACTS_MAX];
static size_t facts_size;

struct message {
	struct report_head head;
	char body[REPORT_BODY_MAX];
};

/* Whole or not at all; waits while the socket is full, whether or not it is in blocking mode. */
static int send_message(const struct message *message, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {
		.iov_base = (void *)message,
		.iov_len = sizeof(message->head) + message->head.size,
	};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c;

		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	for (;;) {
		struct pollfd p = {.fd = REPORT_FD, .events = POLLOUT};

		if (sendmsg(REPORT_FD, &header, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EAGAIN || errno == ENOBUFS) {
			(void)poll(&p, 1, 100);
			continue;
		}
		if (errno != EINTR)
			return -errno;
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

static void say(enum report_kind kind, enum event_level level, unsigned flags, size_t limit,
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
	(void)send_message(&m, -1);
}

void report_event(enum event_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(REPORT_EVENT, level, 0, EVENT_TEXT_MAX, NULL, fmt, ap);
	va_end(ap);
}

void report_fields(enum event_level level, const char *const fields[], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(REPORT_EVENT, level, 0, EVENT_TEXT_MAX, fields, fmt, ap);
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

/* The place of the fact with that key, or facts_size. */
static size_t find_fact(const char *key)
{
	size_t at = 0, n = strlen(key);

	while (at < facts_size && (strncmp(facts + at, key, n) != 0 || facts[at + n] != '='))
		at += strlen(facts + at) + 1;
	return at;
}

/* PID 1 keeps one message, so each has all facts. */
void report_fact(const char *key, const char *fmt, ...)
{
	struct message m = {.head = {.kind = REPORT_FACTS, .level = EVENT_INFO}};
	size_t at = find_fact(key), n = strlen(key) + 1;
	va_list ap;

	if (at < facts_size) {
		size_t old = strlen(facts + at) + 1;

		memmove(facts + at, facts + at + old, facts_size - at - old);
		facts_size -= old;
	}
	memcpy(m.body, key, n - 1);
	m.body[n - 1] = '=';
	va_start(ap, fmt);
	n += format(&m, n, FACT_VALUE_MAX, fmt, ap);
	va_end(ap);
	m.body[n++] = '\0';
	if (n > sizeof(facts) - facts_size)
		return;
	memcpy(facts + facts_size, m.body, n);
	facts_size += n;
	memcpy(m.body, facts, facts_size);
	m.head.size = facts_size;
	(void)send_message(&m, -1);
}

void report_result(const char *fmt, ...)
{
	va_list ap;

	has_result = true;
	va_start(ap, fmt);
	say(REPORT_RESULT, EVENT_INFO, 0, EVENT_TEXT_MAX, NULL, fmt, ap);
	va_end(ap);
}

void report_skipped(const char *fmt, ...)
{
	va_list ap;

	has_result = true;
	va_start(ap, fmt);
	say(REPORT_RESULT, EVENT_INFO, REPORT_SKIPPED, EVENT_TEXT_MAX, NULL, fmt, ap);
	va_end(ap);
}

void report_strings_end(struct report_strings *strings)
{
	struct message m = {.head = {.kind = (uint16_t)strings->kind, .level = EVENT_INFO,
				     .size = (uint32_t)strings->size}};

	_Static_assert(sizeof(strings->bytes) <= REPORT_BODY_MAX, "it is one message");
	if (!strings->size)
		return;
	memcpy(m.body, strings->bytes, strings->size);
	strings->size = 0;
	(void)send_message(&m, -1);
}

/* One that is longer than a whole message is not sent: PID 1 would know no such name. */
void report_string(struct report_strings *strings, const char *text)
{
	size_t n = strlen(text) + 1;

	if (n > sizeof(strings->bytes))
		return;
	if (n > sizeof(strings->bytes) - strings->size)
		report_strings_end(strings);
	memcpy(strings->bytes + strings->size, text, n);
	strings->size += n;
}

bool report_has_result(void)
{
	return has_result;
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

/* Kernels before 6.3 do not know MFD_NOEXEC_SEAL: there the file is merely not executable by mode. */
static int memfd_of(const char *name, const void *bytes, size_t size)
{
	_cleanup_(cleanup_close) int fd = -1;
	int ret;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0400) < 0)
		return -errno;
	ret = file_write(fd, bytes, size);
	if (ret < 0)
		return ret;
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	ret = fd;
	fd = -1;
	return ret;
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
	fd = memfd_of(artifact, bytes, size);
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

/* An artifact must be what PID 1 promised: a memfd nobody can change any more, of bounded size. */
static bool sealed(int fd)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 && st.st_size <= ARTIFACT_SIZE_MAX;
}

/* One datagram from PID 1 into the table. 0 also when it was not worth keeping. */
static int receive(void)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	_cleanup_(cleanup_close) int fd = -1;
	struct message m;
	struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;
	int i;

	n = recvmsg(REPORT_FD, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof(int));
	}
	if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (size_t)n < sizeof(m.head) ||
	    (size_t)n != sizeof(m.head) + m.head.size)
		return -EBADMSG;
	i = find_asked(m.body, m.head.size);
	if (i < 0 || asked[i].answer != ANSWER_PENDING)
		return 0;
	if (m.head.kind == REPORT_TAKEN && fd >= 0 && sealed(fd)) {
		asked[i].answer = ANSWER_TAKEN;
		asked[i].fd = fd;
		fd = -1;
		return 0;
	}
	if (m.head.kind == REPORT_ABSENT && fd < 0) {
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
		struct pollfd p = {.fd = REPORT_FD, .events = POLLIN};
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
