/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New events as server-sent events (HTML standard, 9.2). A stream is a cursor into the event ring and one piece of
 * text. Its request is suspended until there is an event or a heartbeat is due. A client that does not read delays only
 * its own cursor; where the ring has overwritten events that it had not read, it gets their number.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "filter.h"
#include "init/lib/loop.h"
#include "pid1.h"
#include "pieces.h"
#include "stream.h"

#define STREAMS_MAX  64
#define HEARTBEAT_NS 15000000000LL	/* conn.c cuts off an answer that is silent for 30 s */
#define PIECE_SIZE   8192
#define TYPE_STREAM  "text/event-stream"

struct stream {
	struct request *request;	/* lives as long as the stream sends */
	struct stream *next, *previous;
	struct filter filter;
	uint64_t start;			/* the last event the client has, unless `from_now` */
	uint64_t cursor;		/* next event, once `placed` */
	int64_t sent_ns;
	bool from_now;
	bool placed;
	bool whole;			/* from here on, a missing event is reported as lost */
	bool waiting;			/* suspended */
	bool gone;			/* the client hung up, which libmicrohttpd does not notice while it waits */
	bool over;			/* the client may have no more */
	struct pieces pieces;
};

static struct stream *streams;
static size_t n_streams;
static struct loop_timer heartbeat;

/* ---- waiting -------------------------------------------------------------------------------------------------- */

static void wake(struct stream *s)
{
	if (!s->waiting)
		return;
	s->waiting = false;
	request_resume(s->request);
}

static void wake_all(void)
{
	for (struct stream *s = streams; s; s = s->next)
		wake(s);
}

/* One timer for all streams: it fires when the first heartbeat is due, and then computes the next time. */
static void beat(struct loop_timer *timer)
{
	int64_t now = loop_now_ns(), due = now + HEARTBEAT_NS;

	for (struct stream *s = streams; s; s = s->next) {
		if (now - s->sent_ns >= HEARTBEAT_NS)
			wake(s);
		else if (s->sent_ns + HEARTBEAT_NS < due)
			due = s->sent_ns + HEARTBEAT_NS;
	}
	if (streams)
		loop_arm(timer, due);
}

static ssize_t wait_for_events(struct stream *s)
{
	s->waiting = true;
	request_suspend(s->request);
	if (!heartbeat.armed)
		loop_arm(&heartbeat, s->sent_ns + HEARTBEAT_NS);
	return 0;
}

/* ---- output --------------------------------------------------------------------------------------------------- */

/*
 * Determines where the stream starts. A number above the newest is of an earlier boot, so all events are new to the
 * client. False: not known yet.
 */
static bool place(struct stream *s)
{
	uint64_t newest;

	if (!pid1_newest(&newest))
		return false;
	if (s->from_now)
		s->start = newest;
	else if (s->start > newest)
		s->start = 0;
	s->cursor = s->start + 1;
	s->whole = s->start > 0;
	s->placed = true;
	return true;
}

/* With this id the client resumes after the gap. */
static void put_lost(struct stream *s, uint64_t lost, uint64_t last)
{
	text_printf(&s->pieces.text, "id: %" PRIu64 "\nevent: lost\ndata: {\"lost\":%" PRIu64 "}\n\n", last, lost);
}

static void put_event(struct stream *s, const struct event_view *e)
{
	static const char *const kinds[] = EVENT_KIND_NAMES;
	struct text *t = &s->pieces.text;

	text_printf(t, "id: %" PRIu64 "\nevent: %s\ndata: ", e->head.seq, kinds[e->head.kind]);
	event_json(t, e);	/* one line: JSON has no raw line ends */
	text_put(t, "\n\n");
}

static bool next_event(struct stream *s)
{
	char record[EVENT_RECORD_MAX];
	uint64_t wanted = s->cursor;
	struct event_view e;

	while (pid1_read(&s->cursor, UINT64_MAX, record, &e)) {
		if (s->whole && e.head.seq > wanted) {
			put_lost(s, e.head.seq - wanted, e.head.seq - 1);
			s->cursor = e.head.seq;		/* the next piece */
			return true;
		}
		s->whole = true;
		wanted = s->cursor;
		if (!filter_matches(&s->filter, &e))
			continue;
		put_event(s, &e);
		return true;
	}
	return false;
}

static bool next_piece(void *with)
{
	struct stream *s = with;

	/* Only once it is placed: a client that has read this line gets every event that comes from now on. */
	if (!s->placed && place(s)) {
		text_put(&s->pieces.text, "retry: 1000\n\n");
		return true;
	}
	if (s->placed && next_event(s))
		return true;
	if (loop_now_ns() - s->sent_ns < HEARTBEAT_NS)
		return false;
	s->sent_ns = loop_now_ns();
	text_put(&s->pieces.text, ": heartbeat\n\n");
	return true;
}

static ssize_t read_stream(void *with, uint64_t position, char *out, size_t room)
{
	struct stream *s = with;
	size_t used;

	(void)position;
	if (s->gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (s->over)
		return MHD_CONTENT_READER_END_OF_STREAM;
	used = pieces_read(&s->pieces, out, room, next_piece, s);
	if (used > 0) {
		s->sent_ns = loop_now_ns();
		return (ssize_t)used;
	}
	return wait_for_events(s);
}

/* ---- begin and end -------------------------------------------------------------------------------------------- */

static void end_stream(void *with)
{
	struct stream *s = with;

	*(s->previous ? &s->previous->next : &streams) = s->next;
	if (s->next)
		s->next->previous = s->previous;
	n_streams--;
	free(s);
}

/* False: STREAMS_MAX clients are connected. */
static bool make_room(void)
{
	size_t there = 0;

	if (n_streams < STREAMS_MAX)
		return true;
	for (struct stream *s = streams; s; s = s->next) {
		struct pollfd p = {.fd = connection_fd(s->request->connection), .events = POLLRDHUP};

		s->gone |= poll(&p, 1, 0) > 0;
		there += !s->gone;
		if (s->gone)
			wake(s);
	}
	return there < STREAMS_MAX;
}

void stream_end_all(void)
{
	for (struct stream *s = streams; s; s = s->next)
		s->over = true;
	wake_all();
}

/* The stream's start, from the header or the arguments. NULL, or the error message. */
static const char *read_request(struct request *request, struct stream *s)
{
	const char *malformed = request_filter(request, &s->filter);
	const char *last = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Last-Event-ID");

	if (malformed)
		return malformed;
	s->from_now = !filter_given(&s->filter, FILTER_SINCE);
	s->start = s->filter.since;
	s->filter.since = 0;	/* the cursor takes its place: the number may be of an earlier boot */
	if (!last || !*last)
		return NULL;
	s->from_now = false;
	return filter_number(&s->start, last, strlen(last)) < 0 ? "Malformed header: Last-Event-ID" : NULL;
}

enum MHD_Result answer_stream(struct request *request)
{
	struct stream *s;
	struct MHD_Response *response;
	const char *wrong;

	if (!make_room())
		return respond_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Too many event streams");
	s = calloc(1, sizeof(*s));
	if (!s)
		return respond_unavailable(request);
	wrong = read_request(request, s);
	if (wrong) {
		free(s);
		return respond_error(request, MHD_HTTP_BAD_REQUEST, wrong);
	}
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_SIZE, read_stream, s, end_stream);
	if (!response) {
		free(s);
		return respond_unavailable(request);
	}
	pieces_init(&s->pieces);
	s->request = request;
	s->sent_ns = loop_now_ns();
	s->next = streams;
	if (streams)
		streams->previous = s;
	streams = s;
	n_streams++;
	heartbeat.fire = beat;
	pid1_on_events(wake_all);
	MHD_add_response_header(response, "X-Accel-Buffering", "no");
	return respond(request, MHD_HTTP_OK, TYPE_STREAM, response);
}
