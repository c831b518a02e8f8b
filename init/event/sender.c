/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounded table with one bucket a sender. A new sender inherits the bucket of the row it evicts, so a new process
 * per message, which has a new name each time, cannot exceed the limit: all rows together hold SENDERS_MAX buckets.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "init/lib/bucket.h"
#include "init/lib/loop.h"
#include "sender.h"

#define SENDERS_MAX 128
#define SAY_NS      1000000000

struct sender {
	char name[EVENT_SOURCE_MAX + 1];
	uint64_t used;		/* number of its last call: the row with the smallest one is evicted */
	struct bucket bucket;
	uint64_t dropped;	/* not yet reported */
};

static struct sender senders[SENDERS_MAX];
static uint64_t calls, dropped_of_others;
static struct bucket_limit limit;
static struct loop_timer timer;

void sender_limit(int64_t per_s, int64_t burst)
{
	limit = (struct bucket_limit){.per_s = per_s, .burst = burst};
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
			  *dropped, *dropped == 1 ? "" : "s", limit.per_s, whose);
	*dropped = 0;
}

static void say_all(struct loop_timer *t)
{
	(void)t;
	for (size_t i = 0; i < SENDERS_MAX; i++)
		say(senders[i].name, &senders[i].dropped, "");
	say("gantry", &dropped_of_others, ", from short-lived senders");
}

bool sender_may(struct sender *sender, int64_t now_ns)
{
	if (bucket_take(&sender->bucket, &limit, now_ns))
		return true;
	sender->dropped++;
	event_count_told_drop();
	if (!timer.armed) {	/* once a second at most, with the number dropped in that second */
		timer.fire = say_all;
		loop_arm(&timer, now_ns + SAY_NS);
	}
	return false;
}
