/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements lines.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "channel.h"
#include "format.h"
#include "init/lib/bucket.h"
#include "init/lib/eventtext.h"
#include "init/lib/utf8.h"
#include "lines.h"
#include "ring.h"

#define REPORT_MS 1000	/* between two reports of lines that did not become events */

/* Of a service. */
struct state {
	uint64_t lost_lines, lost_bytes;	/* dropped since the last report in the log */
	bool said_lost;
	struct bucket events;
	unsigned long events_lost;	/* since the last report */
	int64_t events_lost_ms;		/* when the first of them was */
};

static struct logshare *share;
static struct logtail *tails;
static struct state *states;
static char now_text[40];	/* RFC 3339, of this turn */

/* Sends a line as an event, at the rate that PID 1 allows the processes whose output it reads itself. */
static void make_event(size_t node, const char *text, size_t size)
{
	static const struct bucket_limit limit = {.per_s = 100, .burst = 1000};
	struct state *r = &states[node];
	int64_t now_ms = log_now_ms();

	if (r->events_lost && now_ms - r->events_lost_ms >= REPORT_MS) {
		logchannel_say(EVENT_WARNING, node, "output limit of %" PRId64 " lines/s exceeded, or PID 1 busy: "
			       "%lu lines are only in the log file", limit.per_s, r->events_lost);
		r->events_lost = 0;
	}
	if (bucket_take(&r->events, &limit, now_ms * 1000000) &&
	    logchannel_send(LOG_LINE, node, 0, text, size < EVENT_TEXT_MAX ? size : EVENT_TEXT_MAX))
		return;
	if (r->events_lost++ == 0)
		r->events_lost_ms = now_ms;
}

static size_t format(const struct logged *n, char *out, const char *stream, const char *text, size_t size,
		     bool partial)
{
	return n->service.json ? logformat_json(out, now_text, stream, text, size, partial) :
	       logformat_text(out, text, size, partial);
}

/* Why a line that does not fit must be dropped; NULL: the writer makes progress, so wait for room. */
static const char *why_drop(const struct logged *n)
{
	if (n->failing)
		return n->why;
	if (log_now_ms() - share->progress_ms <= LOG_PATIENCE_MS)
		return NULL;
	return share->open ? "the disk accepts no writes" : share->open_wanted ? "the directory is not writable yet" :
	       "its disk is not open yet";
}

/* The line in the log that says how many are missing. */
static size_t format_gap(const struct logged *n, const struct state *r, char *out)
{
	char text[128];
	int size = snprintf(text, sizeof(text), "gantry: %" PRIu64 " lines (%" PRIu64 " bytes) are missing here",
			    r->lost_lines, r->lost_bytes);

	return format(n, out, "gantry", text, (size_t)size, false);
}

enum put {
	PUT_DONE,
	PUT_DROPPED,
	PUT_WAIT,
};

/* Puts `line` into the ring and, before it, the line about missing ones. */
static enum put put(size_t node, const char *line, size_t size, const char **ret_why)
{
	struct logged *n = &share->nodes[node];
	struct state *r = &states[node];
	char gap[512];
	size_t gap_size = r->lost_lines ? format_gap(n, r, gap) : 0;
	size_t room = r->lost_lines ? LOGRING_SIZE / 2 : gap_size + size;	/* no gap after every other line */
	enum put done = PUT_DONE;

	pthread_mutex_lock(&share->lock);
	if (logring_room(n->ring) >= room) {
		if (n->ring->used == 0)
			pthread_cond_signal(&share->work);
		logring_put(n->ring, gap, gap_size);
		logring_put(n->ring, line, size);
	} else {
		*ret_why = why_drop(n);
		done = *ret_why ? PUT_DROPPED : PUT_WAIT;
		share->readers_wait = share->readers_wait || done == PUT_WAIT;
	}
	pthread_mutex_unlock(&share->lock);
	return done;
}

static void lose(size_t node, const struct logsplit_line *line, const char *why)
{
	struct state *r = &states[node];

	if (!r->said_lost)
		logchannel_say(EVENT_WARNING, node, "log: dropping lines: %s", why);
	r->said_lost = true;
	r->lost_lines++;
	r->lost_bytes += line->taken;
	__atomic_fetch_add(&tails[node].dropped, 1, __ATOMIC_RELAXED);
}

static void found_room(size_t node)
{
	struct state *r = &states[node];

	if (r->said_lost)
		logchannel_say(EVENT_WARNING, node, "log: %" PRIu64 " lines (%" PRIu64 " bytes) were dropped",
			       r->lost_lines, r->lost_bytes);
	r->said_lost = false;
	r->lost_lines = r->lost_bytes = 0;
}

bool lines_take(size_t node, size_t stream, const struct logsplit_line *line)
{
	static char clean[LOG_CLEAN_MAX], formatted[LOG_FORMATTED_MAX];
	const struct logged *n = &share->nodes[node];
	const char *why = NULL;
	size_t size = line->size, formatted_size;

	if (size > 0 && line->bytes[size - 1] == '\r')
		size--;
	size = utf8_clean(clean, sizeof(clean), line->bytes, size);
	formatted_size = format(n, formatted, stream == LOG_STDERR ? "stderr" : "stdout", clean, size, line->partial);
	switch (put(node, formatted, formatted_size, &why)) {
	case PUT_WAIT:
		return false;
	case PUT_DROPPED:
		lose(node, line, why);
		break;
	case PUT_DONE:
		found_room(node);
		break;
	}
	if (size > 0)
		logtail_add(&tails[node], clean, size);
	if (size > 0 && n->service.events)
		make_event(node, clean, size);
	return true;
}

void lines_read_clock(void)
{
	struct text t = TEXT_FIXED(now_text);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	time_rfc3339(&t, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec / 1000 * 1000, true);
	now_text[t.size < sizeof(now_text) ? t.size : sizeof(now_text) - 1] = '\0';
}

void lines_interrupted(const struct logged *n, struct logring *ring)
{
	static const char text[] = "gantry: the log was interrupted here; lines may be missing";
	char line[256];

	logring_put(ring, line, format(n, line, "gantry", text, sizeof(text) - 1, false));
}

int lines_init(struct logshare *with, struct logtail *of)
{
	share = with;
	tails = of;
	states = calloc(share->n_nodes, sizeof(*states));
	return states ? 0 : -ENOMEM;
}
