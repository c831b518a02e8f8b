/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1 answers requests one after the other and in order, so a queue of callbacks is all that is remembered of them.
 * The socket's own buffer holds the requests; while it is full HTTP clients get 503.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "init/lib/client.h"
#include "init/lib/eventtext.h"
#include "init/lib/loop.h"
#include "pid1.h"

#define PENDING_MAX      64
#define MESSAGES_A_TURN  64	/* then the streams get a turn, before a burst overwrites unsent events */
#define RING_LEAST       1
#define RING_MOST        100000

struct pending {
	void (*posted)(void *with, int result);
	void (*collected)(void *with, const struct status *status);
	void (*begun)(void *with, int64_t result);
	void *with;
};

static struct loop_source source = LOOP_SOURCE_INIT;
static struct history history;
static struct pending pending[PENDING_MAX];
static size_t first_pending, n_pending;
static struct status status;
static bool status_broken;
static void (*on_gone)(void);
static void (*on_event)(const struct event_view *e);
static void (*on_hand)(enum control_hand hand, int fd);
static void (*on_events)(void);
static uint64_t newest_at_start;
static bool newest_known;
static bool added;			/* on_events is due */

const struct history *pid1_events(void)
{
	return &history;
}

void pid1_on_event(void (*seen)(const struct event_view *e))
{
	on_event = seen;
}

bool pid1_read(uint64_t *next, uint64_t last, char *record, struct event_view *e)
{
	uint64_t seq = *next;
	size_t size = seq <= last ? history_read(&history, &seq, record) : 0;

	if (size == 0 || seq > last || event_view(e, record, size) < 0)
		return false;
	*next = seq + 1;
	return true;
}

bool pid1_newest(uint64_t *ret)
{
	uint64_t last = history_last(&history);

	*ret = last > newest_at_start ? last : newest_at_start;
	return newest_known;
}

void pid1_on_events(void (*call)(void))
{
	on_events = call;
}

static void learn_newest(void *with, const struct status *s)
{
	(void)with;
	newest_at_start = s ? s->boot.events : 0;
	newest_known = added = true;
}

static int request_answered(enum control_kind kind, unsigned flags, int64_t argument, const void *body, size_t size,
			    int fd, struct pending done)
{
	int r = source.fd < 0 ? -ENOTCONN : n_pending == PENDING_MAX ? -EBUSY :
		client_request_with(source.fd, kind, flags, argument, body, size, fd);

	if (r == 0)
		pending[(first_pending + n_pending++) % PENDING_MAX] = done;
	return r;
}

int pid1_post(int level, bool outside, const char *text, size_t size, void (*done)(void *with, int result),
	      void *with)
{
	const char *end = memchr(text, '\0', size);

	/* After a NUL come fields, which an HTTP client may not set. */
	if (outside && end)
		size = (size_t)(end - text);
	if (size > CONTROL_BODY_MAX)
		size = CONTROL_BODY_MAX;
	return request_answered(CONTROL_POST, outside ? CONTROL_OUTSIDE : 0, level, text, size, -1,
				(struct pending){.posted = done, .with = with});
}

int pid1_certificate(const char *sha256, int64_t end_s)
{
	struct control_certificate body = {.end_s = end_s};

	memcpy(body.sha256, sha256, sizeof(body.sha256));
	return request_answered(CONTROL_CERTIFICATE, 0, 0, &body, sizeof(body), -1, (struct pending){0});
}

int pid1_status(void (*done)(void *with, const struct status *status), void *with)
{
	return request_answered(CONTROL_STATUS, 0, 0, NULL, 0, -1, (struct pending){.collected = done, .with = with});
}

int pid1_act(enum control_kind kind, const void *body, size_t size, int fd, void (*done)(void *with, int64_t result),
	     void *with)
{
	return request_answered(kind, 0, 0, body, size, fd, (struct pending){.begun = done, .with = with});
}

static void take_end(int64_t result)
{
	struct pending p = pending[first_pending];

	if (n_pending == 0)
		return;
	first_pending = (first_pending + 1) % PENDING_MAX;
	n_pending--;
	if (p.posted)
		p.posted(p.with, (int)result);
	if (p.collected)
		p.collected(p.with, result < 0 || status_broken ? NULL : &status);
	if (p.begun)
		p.begun(p.with, result);
	status_broken = false;
}

/* *attached is set to -1 when it was taken over. */
static void take(const struct control_message *message, int *attached)
{
	struct event_view e;
	int64_t argument = message->head.argument;

	switch (message->head.kind) {
	case CONTROL_RING:
		if (!history.others.index)
			history_init(&history, argument < RING_LEAST ? RING_LEAST :
					       argument > RING_MOST ? RING_MOST : (size_t)argument);
		break;
	case CONTROL_EVENT:
		if (event_view(&e, message->body, message->head.size) < 0)
			break;
		history_add(&history, message->body, message->head.size);
		if (on_event)
			on_event(&e);
		added = true;
		break;
	case CONTROL_BOOT:
	case CONTROL_REFRESHES:
	case CONTROL_NODE:
	case CONTROL_FACTS:
	case CONTROL_LINES:
		if (status_take(&status, message->head.kind, message->body, message->head.size) < 0)
			status_broken = true;
		break;
	case CONTROL_END:
		take_end(argument);
		break;
	case CONTROL_HAND:
		if (*attached >= 0 && argument >= 0 && argument < HAND_MAX) {
			on_hand((enum control_hand)argument, *attached);
			*attached = -1;
		}
		break;
	default:
		break;
	}
}

static void take_all(struct loop_source *s)
{
	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		struct control_message message;
		int attached, r = client_receive_with(s->fd, &message, &attached);

		if (r == -EAGAIN)
			return;
		if (r == -EBADMSG)
			continue;
		if (r <= 0) {
			loop_remove(s);
			on_gone();
			return;
		}
		take(&message, &attached);
		if (attached >= 0)
			close(attached);
	}
}

static void ready(struct loop_source *s, uint32_t events)
{
	(void)events;
	take_all(s);
	if (added && on_events)
		on_events();
	added = false;
}

int pid1_init(int fd, void (*gone)(void), void (*handed)(enum control_hand hand, int fd))
{
	on_gone = gone;
	on_hand = handed;
	source.ready = ready;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return loop_add(&source, fd, EPOLLIN);
}

int pid1_follow(void)
{
	int r = client_request(source.fd, CONTROL_EVENTS, CONTROL_FOLLOW, 1, NULL, 0);

	return r < 0 ? r : pid1_status(learn_newest, NULL);
}
