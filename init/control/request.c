/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receives requests: each is read whole, checked against its row, which has its permission and form, and performed at
 * once; its answer is set in the connection.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "init/event/event.h"
#include "init/lib/inbox.h"
#include "init/event/sender.h"
#include "init/lib/loop.h"
#include "init/node/whose.h"
#include "init/process/processes.h"

static const struct control_table *table;
static bool draining;

static const char *requester(const struct connection *c)
{
	return c->role ? c->event_source : whose_pid(c->pid);
}

const char *control_requester(const struct control_request *request)
{
	const char *node = requester(request->from);

	return node ? node : processes_is_kernels(request->from->pid) ? "kernel" : "gantryctl";
}

static int64_t post(const struct control_request *request)
{
	const struct control_head *head = request->head;
	const char *body = request->body, *node = requester(request->from);
	const char *end = memchr(body, '\0', head->size);
	size_t text_size = end ? (size_t)(end - body) : head->size;
	size_t fields_size = end ? head->size - text_size - 1 : 0;
	bool outside;

	if (head->argument < 0 || head->argument >= EVENT_LEVEL_MAX)
		return -EINVAL;
	outside = !request->from->role || (head->flags & CONTROL_OUTSIDE);
	if (request->from->role && outside)
		node = "http";
	else if (!node)
		node = "gantryctl";
	if (!(outside ? sender_may : sender_may_report)(node, loop_now_ns()))
		return -EDQUOT;
	(outside ? event_add : event_report)((enum event_level)head->argument, EVENT_MESSAGE, node, body, text_size,
					     body + (head->size - fields_size), fields_size);
	return 0;
}

static int64_t begin_events(const struct control_request *request)
{
	struct connection *c = request->from;
	bool follow = request->head->flags & CONTROL_FOLLOW;

	if (c->following)
		return -EBUSY;
	c->next = request->head->argument > 0 ? (uint64_t)request->head->argument : 1;
	c->last = follow && !draining ? UINT64_MAX : event_last();
	c->following = follow;
	c->closing = follow && draining;
	c->answer = follow ? ANSWER_RING : ANSWER_EVENTS;
	return 0;
}

static int64_t begin_status(const struct control_request *request)
{
	request->from->answer = ANSWER_STATUS;
	request->from->step = 0;
	return 0;
}

/* The requests that need the connection itself. */
static const struct control_row own_rows[] = {
	{.kind = CONTROL_EVENTS, .permission = CONTROL_MAY_READ, .bytes = true, .perform = begin_events},
	{.kind = CONTROL_STATUS, .permission = CONTROL_MAY_READ, .bytes = true, .perform = begin_status},
	{.kind = CONTROL_POST, .permission = CONTROL_MAY_POST, .bytes = true, .perform = post},
};

void connection_requests(const struct control_table *with)
{
	table = with;
}

static const struct control_row *row_among(const struct control_row *rows, size_t n, unsigned kind)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].kind == kind)
			return &rows[i];
	return NULL;
}

static const struct control_row *row_of(unsigned kind)
{
	const struct control_row *row = row_among(own_rows, sizeof(own_rows) / sizeof(*own_rows), kind);

	return row || !table ? row : row_among(table->rows, table->n, kind);
}

/* Performs or refuses a request and sets the answer. Takes over fd. */
static void take_request(struct connection *c, const struct control_head *head, const char *body, int fd)
{
	const struct control_row *row = row_of(head->kind);
	int64_t refused = !row ? -EBADMSG : !(c->permissions & row->permission) ? -EPERM :
			  row->fd != (fd >= 0) || (!row->bytes && strlen(body) != head->size) ? -EBADMSG : 0;

	c->answer = ANSWER_END;
	if (refused)
		inbox_close(fd);
	c->result = refused ? refused :
		    row->perform(&(struct control_request){.from = c, .head = head, .body = body, .fd = fd});
	c->barrier = event_last();
}

int connection_receive(struct connection *c)
{
	char body[CONTROL_BODY_MAX + 1];
	struct control_head head;
	struct iovec iov[] = {{&head, sizeof(head)}, {body, CONTROL_BODY_MAX}};
	struct inbox_message received;
	/* A client that connected by the path attaches nothing. */
	ssize_t n = inbox_receive(c->source.fd, iov, 2, c->role ? INBOX_MEMFD | INBOX_SOCKET : INBOX_NOTHING,
				  &received);

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n < 0 || (n == 0 && !received.removed)) {
		connection_drop(c);
		return -1;
	}
	if ((size_t)n < sizeof(head) || received.cut || head.size != (size_t)n - sizeof(head)) {
		inbox_close(received.fd);
		event_count_drop(c->role ? c->event_source : "control");
		c->result = -EBADMSG;
		c->answer = ANSWER_END;
		c->barrier = 0;
		return 1;
	}
	body[head.size] = '\0';
	c->active_ns = loop_now_ns();
	take_request(c, &head, body, received.fd);
	return 1;
}

void connection_end_following(void)
{
	draining = true;
}
