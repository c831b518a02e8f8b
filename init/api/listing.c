/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of events. It is written piece by piece from a cursor into the event ring, so memory does not grow with the
 * length of the list.
 */
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "answers.h"
#include "bootlog.h"
#include "filter.h"
#include "pid1.h"
#include "pieces.h"

#define PIECE_SIZE 8192

struct listing {
	struct filter filter;
	uint64_t next, last;
	bool json, begun, ended;
	struct pieces pieces;
};

/* Writes the next event, or the end, into the listing's text. False: the listing is complete. */
static bool next_piece(void *with)
{
	struct listing *l = with;
	struct text *t = &l->pieces.text;
	char record[EVENT_RECORD_MAX];
	struct event_view e;

	while (!l->ended && pid1_read(&l->next, l->last, record, &e)) {
		if (!filter_matches(&l->filter, &e))
			continue;
		if (l->json) {
			text_put(t, l->begun ? "," : "[");
			event_json(t, &e);
		} else {
			event_text_line(t, &e);
		}
		l->begun = true;
		return true;
	}
	if (l->ended)
		return false;
	l->ended = true;
	if (l->json)
		text_put(t, l->begun ? "]\n" : "[]\n");
	return l->json;
}

static ssize_t read_listing(void *with, uint64_t position, char *out, size_t room)
{
	struct listing *l = with;
	size_t used = pieces_read(&l->pieces, out, room, next_piece, l);

	(void)position;
	return used > 0 ? (ssize_t)used : MHD_CONTENT_READER_END_OF_STREAM;
}

/* The first of the newest `limit` events that match. Backwards, as clients ask for few of many. */
static uint64_t first_of_newest(const struct filter *filter, uint64_t last)
{
	char record[EVENT_RECORD_MAX];
	struct event_view e;
	uint64_t found = 0, first = last + 1, at = last;
	size_t size;

	while (found < filter->limit && (size = history_read_back(pid1_events(), &at, record)) > 0 &&
	       at > filter->since) {
		if (event_view(&e, record, size) == 0 && filter_matches(filter, &e)) {
			found++;
			first = at;
		}
		at--;
	}
	return first;
}

static enum MHD_Result list_events(struct request *request, bool json)
{
	struct listing *l = calloc(1, sizeof(*l));
	struct MHD_Response *response;
	const char *malformed;

	if (!l)
		return respond_unavailable(request);
	malformed = request_filter(request, &l->filter);
	if (malformed || l->filter.boot < 0) {
		enum MHD_Result r = malformed ? respond_error(request, MHD_HTTP_BAD_REQUEST, malformed) :
				    access_known() ? answer_boot_log(request, &l->filter, json) :
				    respond_locked(request);

		free(l);
		return r;
	}
	pieces_init(&l->pieces);
	l->json = json;
	l->last = history_last(pid1_events());
	l->next = l->filter.since + 1;
	if (filter_given(&l->filter, FILTER_LIMIT))
		l->next = first_of_newest(&l->filter, l->last);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_SIZE, read_listing, l, free);
	if (!response)
		free(l);
	return respond(request, MHD_HTTP_OK, json ? TYPE_JSON : TYPE_TEXT, response);
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
