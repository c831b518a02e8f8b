/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements sender.h. The table of senders is quota.h's. A sender's drops are reported within a second, eight times;
 * if it goes on, there is one report a minute, with the exact number, so that the reports are no flood of their own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "init/lib/bucket.h"
#include "init/lib/loop.h"
#include "quota.h"
#include "sender.h"

#define SAY_NS        1000000000
#define SUM_FACTOR    8
#define STRANGERS     "pid-*"	/* no stage or service can have such a name */
#define STRANGERS_MAX 16U

static struct bucket_limit limit, sum_limit;
static const struct bucket_limit reports_limit = EVENT_DROP_REPORTS;
static struct bucket sum, evicted_reports;
static uint64_t evicted_drops;
static struct loop_timer timer;

void sender_limit(int64_t per_s, int64_t burst)
{
	limit = (struct bucket_limit){.per_s = per_s, .burst = burst};
	sum_limit = (struct bucket_limit){.per_s = per_s * SUM_FACTOR, .burst = burst * SUM_FACTOR};
}

const char *sender_of_stranger(uid_t uid)
{
	static char name[sizeof(STRANGERS) + 12];

	snprintf(name, sizeof(name), STRANGERS "%u", uid == 0 ? STRANGERS_MAX : uid % STRANGERS_MAX);
	return name;
}

static void say(const char *source, uint64_t *dropped, const char *why, int64_t per_s, const char *whose)
{
	uint64_t n = *dropped;

	*dropped = 0;
	if (n > 0)
		event_say(EVENT_WARNING, source, "%" PRIu64 " message%s dropped: %s %" PRId64 " a second%s", n,
			  n == 1 ? "" : "s", why, per_s, whose);
}

static void say_row(const char *name, uint64_t dropped, uint64_t dropped_in_sum)
{
	bool strangers = strncmp(name, STRANGERS, strlen(STRANGERS)) == 0;
	const char *source = strangers ? "gantry" : name;
	const char *whose = strangers ? ", from processes of no stage or service" : "";

	say(source, &dropped, "more than", limit.per_s, whose);
	say(source, &dropped_in_sum, "all senders together sent more than", sum_limit.per_s, whose);
}

/* Whether this many drops are reported now. If not yet, *next_ns is when they are. */
static bool due(uint64_t dropped, struct bucket *reports, int64_t now_ns, int64_t *next_ns)
{
	int64_t due_ns = bucket_due(reports, &reports_limit, now_ns);

	if (dropped > 0 && bucket_take(reports, &reports_limit, now_ns))
		return true;
	if (dropped > 0 && due_ns < *next_ns)
		*next_ns = due_ns;
	return false;
}

static void say_all(struct loop_timer *t)
{
	int64_t now_ns = loop_now_ns(), next_ns = INT64_MAX;

	for (size_t i = 0; i < QUOTA_ROWS; i++) {
		struct quota row = *quota_row(i);	/* a report is an event, which may evict a row */

		if (!due(row.dropped + row.dropped_in_sum, &quota_row(i)->reports, now_ns, &next_ns))
			continue;
		quota_row(i)->dropped = quota_row(i)->dropped_in_sum = 0;
		say_row(row.name, row.dropped, row.dropped_in_sum);
	}
	evicted_drops += quota_evicted_drops();
	if (due(evicted_drops, &evicted_reports, now_ns, &next_ns))
		say("gantry", &evicted_drops, "more than", limit.per_s, ", from several senders");
	if (next_ns < INT64_MAX)
		loop_arm(t, next_ns);
}

/* They are reported together, once a second at most. */
static void drop(uint64_t *dropped, int64_t now_ns)
{
	++*dropped;
	event_count_told_drop();
	timer.fire = say_all;
	if (!timer.armed || timer.due_ns > now_ns + SAY_NS)
		loop_arm(&timer, now_ns + SAY_NS);
}

bool sender_may(const char *source, int64_t now_ns)
{
	struct quota *q = quota_of(source);

	if (!bucket_take(&q->text, &limit, now_ns)) {
		drop(&q->dropped, now_ns);
		return false;
	}
	if (!bucket_take(&sum, &sum_limit, now_ns)) {
		drop(&q->dropped_in_sum, now_ns);
		return false;
	}
	return true;
}

bool sender_may_report(const char *source, int64_t now_ns)
{
	struct quota *q = quota_of(source);

	if (bucket_take(&q->text, &limit, now_ns))
		return true;
	drop(&q->dropped, now_ns);
	return false;
}
