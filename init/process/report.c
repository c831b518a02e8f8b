/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a child's report socket (gantry/report.h): events, progress, its result, artifacts given and requested. Each
 * datagram is checked whole before any of it is used; a malformed one is dropped and counted.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gantry/report.h>

#include "init/event/event.h"
#include "init/event/sender.h"
#include "init/lib/fdpass.h"
#include "init/lib/inbox.h"
#include "init/lib/loop.h"
#include "init/lib/memfd.h"
#include "output.h"
#include "row.h"

#define TURN_BUDGET 32		/* messages of one child in one turn of the loop */
#define REMOVAL_SHARE 4		/* of them, one in so many may come with a descriptor, which is more work */

static const struct child_nodes *nodes;
static struct child *rows;
static size_t n_rows, n_takes;

void child_report_init(struct child *with, size_t n, const struct child_nodes *with_nodes)
{
	rows = with;
	n_rows = n;
	nodes = with_nodes;
}

void child_close_report(struct child *child)
{
	int fd = child->report.fd;

	loop_remove(&child->report);
	inbox_close(fd);
}

static void send_answer(struct child *child, enum report_kind kind, const char *name, int fd)
{
	struct report_head head = {.kind = (uint16_t)kind, .size = (uint32_t)strlen(name)};
	struct iovec parts[] = {{&head, sizeof(head)}, {(void *)name, strlen(name)}};

	if (fd_send(child->report.fd, parts, 2, &fd, fd >= 0, MSG_DONTWAIT) < 0)
		event_count_drop(child->spec.source);
}

/* Whether the child may cause one more event. */
static bool may_report(const struct child *child)
{
	return sender_may_report(child->spec.source, loop_now_ns());
}

/* Returns true if the request was answered, false if it must wait. */
static bool answer_take(struct child *child, const char *name)
{
	int fd = -1;
	int r = child->spec.take ? child->spec.take(child, name, &fd) :
		nodes->take(child->spec.node, name, &fd);

	if (r == -EAGAIN)
		return false;
	if (r == -EPERM && may_report(child))
		event_say(EVENT_WARNING, child->spec.source, "may not take artifact %s: request refused", name);
	send_answer(child, r == 0 ? REPORT_TAKEN : REPORT_ABSENT, name, fd);
	if (fd >= 0)
		close(fd);
	return true;
}

void child_answer_takes(void)
{
	for (size_t i = 0; n_takes && i < n_rows; i++) {
		struct child *child = &rows[i];

		if (!child->used || child->report.fd < 0)
			continue;
		for (size_t k = 0; k < CHILD_TAKES_MAX; k++)
			if (child->takes[k][0] && answer_take(child, child->takes[k])) {
				child->takes[k][0] = '\0';
				n_takes--;
			}
	}
}

void child_forget_takes(struct child *child)
{
	for (size_t k = 0; k < CHILD_TAKES_MAX; k++) {
		if (child->takes[k][0]) {
			child->takes[k][0] = '\0';
			n_takes--;
		}
	}
}

static bool take(struct child *child, const char *name)
{
	if (child->spec.node == CHILD_NO_NODE)
		return false;
	if (answer_take(child, name))
		return true;
	for (size_t k = 0; k < CHILD_TAKES_MAX; k++) {
		if (!child->takes[k][0] || !strcmp(child->takes[k], name)) {
			n_takes += !child->takes[k][0];
			snprintf(child->takes[k], ARTIFACT_NAME_MAX, "%s", name);
			return true;
		}
	}
	return false;
}

static bool give(struct child *child, const char *name, struct inbox_message *received)
{
	int *fd = &received->fd, r;

	if (!received->removed)
		return false;
	if (child->spec.given || child->spec.node == CHILD_NO_NODE) {
		if (!child->spec.given || *fd < 0 || memfd_check(*fd, ARTIFACT_SIZE_MAX) < 0 ||
		    !child->spec.given(child, name, *fd))
			return false;
		*fd = -1;
		return true;
	}
	r = nodes->give(child->spec.node, name, *fd);
	if (r < 0) {
		if (may_report(child))
			event_say(EVENT_WARNING, child->spec.source, "artifact %s refused: %s", name,
				  r == -EPERM ? "the stage type does not list it in \"gives\"" :
				  r == -EINVAL ? "not a sealed memfd" : "too large");
		return true;
	}
	*fd = -1;
	return true;
}

/* A name: 1 to ARTIFACT_NAME_MAX - 1 bytes of [a-z0-9-]. */
static bool name_of(const char *body, size_t size, char *ret)
{
	if (!size || size >= ARTIFACT_NAME_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		if (!((body[i] >= 'a' && body[i] <= 'z') || (body[i] >= '0' && body[i] <= '9') || body[i] == '-'))
			return false;
	memcpy(ret, body, size);
	ret[size] = '\0';
	return true;
}

static bool progress(struct child *child, const struct report_head *head, const char *body)
{
	struct report_progress p;
	struct fields fields = {0};

	if (head->size < sizeof(p))
		return false;
	memcpy(&p, body, sizeof(p));
	fields_add(&fields, "done", "%" PRIu64, p.done);
	fields_add(&fields, "per_second", "%" PRIu64, p.per_second);
	if (p.total)
		fields_add(&fields, "total", "%" PRIu64, p.total);
	if (p.eta_s != UINT32_MAX)
		fields_add(&fields, "eta_s", "%u", p.eta_s);
	output_keep_text(child->text, body + sizeof(p), head->size - sizeof(p));
	if (child->spec.node != CHILD_NO_NODE)
		nodes->progress(child->spec.node, &p, body + sizeof(p), head->size - sizeof(p));
	if (may_report(child))
		event_add(head->level, EVENT_PROGRESS, child->spec.source, body + sizeof(p), head->size - sizeof(p),
			  fields.bytes, fields.size);
	return true;
}

static bool message(struct child *child, const struct report_head *head, const char *body,
		    struct inbox_message *received)
{
	const char *end = memchr(body, '\0', head->size);
	size_t text = end ? (size_t)(end - body) : head->size;
	char name[ARTIFACT_NAME_MAX];

	if (head->level >= EVENT_LEVEL_MAX)
		return false;
	switch (head->kind) {
	case REPORT_EVENT:
		output_keep_text(child->text, body, text);
		if (may_report(child))
			event_report(head->level, EVENT_MESSAGE, child->spec.source, body, text, end ? end + 1 : NULL,
				     end ? head->size - text - 1 : 0);
		return true;
	case REPORT_PROGRESS:
		return progress(child, head, body);
	case REPORT_RESULT:
		output_keep_text(child->reason, body, text);
		child->skipped = head->flags & REPORT_SKIPPED;
		return true;
	case REPORT_GIVE:
		return name_of(body, head->size, name) && give(child, name, received);
	case REPORT_TAKE:
		return name_of(body, head->size, name) && take(child, name);
	case REPORT_CHANGED:
	case REPORT_FLAGS:
	case REPORT_TRACE:
		if (!child->spec.reported || !head->size || body[head->size - 1])
			return false;
		child->spec.reported(child, (enum report_kind)head->kind, body, head->size);
		return true;
	case REPORT_FACTS:
		return child->spec.node != CHILD_NO_NODE &&
		       nodes->facts(child->spec.node, body, head->size);
	case REPORT_STARTED:
		if (child->spec.started)
			child->spec.started(child);
		return true;
	default:
		return false;
	}
}

enum reading {
	READ,
	REMOVED,	/* read; it came with descriptors */
	NONE,
	CLOSED,		/* by the peer */
};

/* Reads one datagram. */
static enum reading read_report(struct child *child)
{
	union {
		struct report_head head;
		char bytes[REPORT_DATAGRAM_MAX];
	} buffer;
	struct iovec part = {buffer.bytes, sizeof(buffer.bytes)};
	struct inbox_message received;
	ssize_t n = inbox_receive(child->report.fd, &part, 1, INBOX_MEMFD, &received);
	bool good;

	if (n < 0)
		return n == -EAGAIN || n == -EINTR ? NONE : CLOSED;
	if (n == 0 && !received.removed)
		return CLOSED;
	good = (size_t)n >= sizeof(buffer.head) && !received.cut &&
	       buffer.head.size == (size_t)n - sizeof(buffer.head);
	if (good)
		good = message(child, &buffer.head, buffer.bytes + sizeof(buffer.head), &received);
	inbox_close(received.fd);
	if (!good)
		event_count_drop(child->spec.source);
	return received.removed ? REMOVED : READ;
}

void child_read_reports(struct child *child, int most)
{
	for (int i = 0, removals = 0; i < most && removals < most / REMOVAL_SHARE && child->report.fd >= 0; i++) {
		enum reading r = read_report(child);

		removals += r == REMOVED;
		if (r == NONE)
			return;
		if (r == CLOSED) {
			child_close_report(child);
			if (child->spec.service && child->spec.started && !child->reason[0])
				child->spec.started(child);
			return;
		}
	}
}

void child_report_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	child_read_reports((struct child *)((char *)source - offsetof(struct child, report)), TURN_BUDGET);
}
