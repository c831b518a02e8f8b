/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends the due messages of a connection: at most one answer, and at most one followed subscription. Both continue from
 * their cursors when the socket has room; nothing is buffered for a client that does not read.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "boot.h"
#include "connection.h"
#include "init/event/event.h"
#include "init/lib/fdpass.h"
#include "init/lib/inbox.h"
#include "init/node/refresh-run.h"

#define MESSAGES_A_TURN 64

static const char *words(int64_t r)
{
	static const struct {
		int error;
		const char *words;
	} table[] = {
		{EPERM, "not allowed for this user"},
		{ENOENT, "no such stage or service"},
		{EINVAL, "not possible for this stage or service"},
		{EALREADY, "already in that state"},
		{ESHUTDOWN, "the machine is stopping"},
		{EBADMSG, "malformed request"},
		{EBUSY, "too many concurrent requests"},
		{EDQUOT, "too many messages from this sender: dropped"},
		{EINPROGRESS, "a refresh is running"},
		{ENODATA, "the boot has not used its configuration yet"},
		{EOPNOTSUPP, "boot.json has no \"refresh\""},
	};

	if (r >= 0)
		return "";
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].error == -r)
			return table[i].words;
	return strerror((int)-r);
}

static int send_with_fd(int fd, enum control_kind kind, int64_t argument, const void *body, size_t size, int attached)
{
	struct control_head head = {.kind = kind, .size = (uint32_t)size, .argument = argument};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)body, size}};

	return fd_send(fd, iov, 2, &attached, attached >= 0, MSG_DONTWAIT);
}

static int send_message(int fd, enum control_kind kind, int64_t argument, const void *body, size_t size)
{
	return send_with_fd(fd, kind, argument, body, size, -1);
}

int connection_end(int fd, int64_t result)
{
	return send_message(fd, CONTROL_END, result, words(result), strlen(words(result)));
}

void connection_drop(struct connection *c)
{
	int fd = c->source.fd;

	loop_remove(&c->source);
	inbox_close(fd);
	for (size_t i = 0; c->role && i < HAND_MAX; i++)
		inbox_close(c->hands[i]);
	*c = (struct connection){.source = LOOP_SOURCE_INIT};
}

static bool hand_due(const struct connection *c)
{
	for (size_t i = 0; c->role && i < HAND_MAX; i++)
		if (c->hands[i] >= 0)
			return true;
	return false;
}

static int send_hand(struct connection *c)
{
	size_t i = 0;
	int r;

	while (c->hands[i] < 0)
		i++;
	r = send_with_fd(c->source.fd, CONTROL_HAND, (int64_t)i, NULL, 0, c->hands[i]);
	if (r == 0) {
		close(c->hands[i]);
		c->hands[i] = -1;
	}
	return r;
}

bool connection_events_due(const struct connection *c)
{
	return (c->following || c->answer == ANSWER_EVENTS) && c->next <= c->last && c->next <= event_last();
}

static bool answer_due(const struct connection *c)
{
	switch (c->answer) {
	case ANSWER_EVENTS:
		return !connection_events_due(c);
	case ANSWER_RING:
	case ANSWER_STATUS:
		return true;
	case ANSWER_END:
		return !c->following || c->next > c->barrier || !connection_events_due(c);
	default:
		return false;
	}
}

static int send_event(struct connection *c)
{
	char record[EVENT_RECORD_MAX];
	uint64_t seq = c->next;
	size_t size = event_read(&seq, record);
	int r;

	if (size == 0)
		return 0;
	if (seq != c->next) {
		r = send_message(c->source.fd, CONTROL_GAP, (int64_t)(seq - c->next), NULL, 0);
		if (r == 0)
			c->next = seq;
		return r;
	}
	r = send_message(c->source.fd, CONTROL_EVENT, 0, record, size);
	if (r == 0)
		c->next = seq + 1;
	return r;
}

static int send_status(struct connection *c)
{
	union {
		struct control_boot boot;
		struct control_node node;
		struct control_refresh refresh;
		struct {
			uint64_t dropped;
			char bytes[CONTROL_BODY_MAX - sizeof(uint64_t)];
		} lines;
	} body;
	size_t node = (c->step - 2) / 3, size;
	const char *facts = NULL;
	int r = 0;

	memset(&body, 0, sizeof(body));
	if (c->step == 0) {
		boot_status(&body.boot);
		r = send_message(c->source.fd, CONTROL_BOOT, 0, &body.boot, sizeof(body.boot));
	} else if (c->step == 1) {
		if (refresh_run_status(&body.refresh))
			r = send_message(c->source.fd, CONTROL_REFRESHES, 0, &body.refresh, sizeof(body.refresh));
	} else if (c->step % 3 == 2) {
		boot_node(node, &body.node);
		r = send_message(c->source.fd, CONTROL_NODE, 0, &body.node, sizeof(body.node));
		c->line = 0;
	} else if (c->step % 3 == 0) {
		size = boot_facts(node, &facts);
		if (size > 0)
			r = send_message(c->source.fd, CONTROL_FACTS, 0, facts, size);
	} else {
		size_t line = c->line;

		if (!boot_lines(node, &line, body.lines.bytes, sizeof(body.lines.bytes), &size, &body.lines.dropped))
			size = 0;
		else if (size > 0 || line == 0)
			r = send_message(c->source.fd, CONTROL_LINES, 0, &body.lines,
					 sizeof(body.lines.dropped) + size);
		if (r < 0)
			return r;
		c->line = line;
		if (size > 0)
			return 0;	/* there may be more */
	}
	if (r == 0 && c->step++ == 1 + 3 * boot_nodes())
		c->answer = ANSWER_END;
	return r;
}

static int send_answer(struct connection *c)
{
	int r;

	if (c->answer == ANSWER_STATUS)
		return send_status(c);
	if (c->answer == ANSWER_EVENTS)
		c->answer = ANSWER_END;
	r = c->answer == ANSWER_RING ? send_message(c->source.fd, CONTROL_RING, (int64_t)event_entries(), NULL, 0) :
	    connection_end(c->source.fd, c->result);
	if (r == 0)
		c->answer = ANSWER_NONE;
	return r;
}

bool connection_pump(struct connection *c)
{
	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		int r;

		if (hand_due(c))
			r = send_hand(c);
		else if (answer_due(c))
			r = send_answer(c);
		else if (connection_events_due(c))
			r = send_event(c);
		else
			break;
		if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
			break;
		if (r < 0) {
			connection_drop(c);
			return false;
		}
		c->active_ns = loop_now_ns();
	}
	if (c->closing && !answer_due(c) && !connection_events_due(c)) {
		connection_drop(c);
		return false;
	}
	loop_want(&c->source, (c->answer == ANSWER_NONE ? EPOLLIN : 0) |
			      (hand_due(c) || answer_due(c) || connection_events_due(c) ? EPOLLOUT : 0));
	return true;
}
