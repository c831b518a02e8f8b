/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of events. It is written piece by piece from a cursor into the event ring, so its memory does not grow
 * with its length.
 */
#include <stdlib.h>
#include <string.h>

#include "../eventtext.h"
#include "pid1.h"
#include "request.h"

#define PIECE_SIZE 8192

struct listing {
	uint64_t next, last;
	bool json, begun, ended;
	size_t done;
	struct text text;		/* the piece under way */
	char bytes[EVENT_JSON_MAX + 2];
};

/* Puts the next event, or the end, into the listing's text. False: nothing is left. */
static bool next_piece(struct listing *l)
{
	char record[EVENT_RECORD_MAX];
	struct event_view e;
	uint64_t seq = l->next;
	size_t size = l->next <= l->last ? ring_read(pid1_events(), &seq, record) : 0;

	l->done = l->text.size = 0;
	l->text.cut = false;
	if (size > 0 && seq <= l->last && event_view(&e, record, size) == 0) {
		l->next = seq + 1;
		if (l->json) {
			text_put(&l->text, l->begun ? "," : "[");
			event_json(&l->text, &e);
		} else {
			event_text_line(&l->text, &e);
		}
		l->begun = true;
		return true;
	}
	if (l->ended)
		return false;
	l->ended = true;
	l->next = l->last + 1;
	if (l->json)
		text_put(&l->text, l->begun ? "]\n" : "[]\n");
	return l->json;
}

static ssize_t read_listing(void *with, uint64_t position, char *out, size_t room)
{
	struct listing *l = with;
	size_t used = 0;

	(void)position;
	while (used < room) {
		size_t n = l->text.size - l->done;

		if (n == 0) {
			if (!next_piece(l))
				break;
			continue;
		}
		n = n < room - used ? n : room - used;
		memcpy(out + used, l->text.bytes + l->done, n);
		l->done += n;
		used += n;
	}
	return used > 0 ? (ssize_t)used : MHD_CONTENT_READER_END_OF_STREAM;
}

static enum MHD_Result list_events(struct request *request, bool json)
{
	struct listing *l = malloc(sizeof(*l));

	if (!l)
		return respond_unavailable(request);
	l->next = 1;
	l->last = pid1_events()->last;
	l->json = json;
	l->begun = l->ended = false;
	l->done = 0;
	l->text = (struct text)TEXT_FIXED(l->bytes);
	return respond(request, MHD_HTTP_OK, json ? TYPE_JSON : TYPE_TEXT,
		       MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_SIZE, read_listing, l, free));
}

enum MHD_Result answer_events(struct request *request)
{
	size_t size;
	const char *format = request_argument(request, "format", &size);

	return list_events(request, size != 4 || memcmp(format, "text", 4) != 0);
}

enum MHD_Result answer_logs(struct request *request)
{
	return list_events(request, false);
}
