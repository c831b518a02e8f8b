/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bucket is one time: when it will be full again (GCRA). Whoever gets the place of another gets its bucket as it is:
 * a stranger that is a new process, and so a new name, for every message gains nothing by that, since all its places
 * together hold no more than so many buckets.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "init/lib/loop.h"
#include "sender.h"

#define SENDERS_MAX 128
#define SAY_NS      1000000000

struct sender {
	char name[EVENT_SOURCE_MAX + 1];
	uint64_t used;		/* counts calls: the smallest was not heard of for the longest time */
	int64_t full_ns;
	uint64_t dropped;	/* and not yet said */
};

static struct sender senders[SENDERS_MAX];
static uint64_t calls, dropped_of_others;
static int64_t rate_per_s, event_ns, burst_ns;
static struct loop_timer timer;

void sender_limit(int64_t per_s, int64_t burst)
{
	rate_per_s = per_s;
	event_ns = per_s > 0 ? 1000000000 / per_s : 0;
	burst_ns = event_ns * burst;
}

struct sender *sender_find(const char *name)
{
	struct sender *oldest = &senders[0];

	for (size_t i = 0; i < SENDERS_MAX; i++) {
		struct sender *s = &senders[i];

		if (strcmp(s->name, name) == 0) {
			s->used = ++calls;
			return s;
		}
		if (s->used < oldest->used)
			oldest = s;
	}
	dropped_of_others += oldest->dropped;
	oldest->dropped = 0;
	oldest->used = ++calls;
	snprintf(oldest->name, sizeof(oldest->name), "%s", name);
	return oldest;
}

static void say(const char *source, uint64_t *dropped, const char *whose)
{
	if (*dropped > 0)
		event_say(EVENT_WARNING, source, "%" PRIu64 " message%s dropped: more than %" PRId64 " a second%s",
			  *dropped, *dropped == 1 ? "" : "s", rate_per_s, whose);
	*dropped = 0;
}

static void say_all(struct loop_timer *t)
{
	(void)t;
	for (size_t i = 0; i < SENDERS_MAX; i++)
		say(senders[i].name, &senders[i].dropped, "");
	say("gantry", &dropped_of_others, ", from senders that came and went");
}

bool sender_may(struct sender *sender, int64_t now_ns)
{
	int64_t from_ns = sender->full_ns > now_ns ? sender->full_ns : now_ns;

	if (event_ns == 0)
		return true;
	if (from_ns + event_ns - now_ns <= burst_ns) {
		sender->full_ns = from_ns + event_ns;
		return true;
	}
	sender->dropped++;
	event_count_told_drop();
	if (!timer.armed) {	/* a second later, so that it counts something; and so once a second at most */
		timer.fire = say_all;
		loop_arm(&timer, now_ns + SAY_NS);
	}
	return false;
}
