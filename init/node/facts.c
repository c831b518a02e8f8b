/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements facts.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "init/event/event.h"
#include "init/lib/loop.h"
#include "init/lib/utf8.h"

struct reported {
	char facts[NODE_FACTS_MAX];
	size_t size;
	int64_t progress_ns;
	struct report_progress progress;
	char text[NODE_REASON_MAX];
};

static struct reported *reported;
static size_t n_reported;

int facts_init(size_t n)
{
	reported = calloc(n ? n : 1, sizeof(*reported));
	if (!reported)
		return -ENOMEM;
	n_reported = n;
	return 0;
}

static bool well_formed(const char *body, size_t size)
{
	if (size > NODE_FACTS_MAX || (size > 0 && body[size - 1]))
		return false;
	for (size_t at = 0; at < size; at += strlen(body + at) + 1)
		if (!event_is_field(body + at, strlen(body + at)))
			return false;
	return true;
}

bool facts_take(size_t node, const char *body, size_t size)
{
	if (node >= n_reported || !well_formed(body, size))
		return false;
	reported[node].size = event_clean_fields(reported[node].facts, NODE_FACTS_MAX, body, size);
	return true;
}

size_t facts_of(size_t node, const char **ret)
{
	if (node >= n_reported)
		return 0;
	*ret = reported[node].facts;
	return reported[node].size;
}

void facts_take_progress(size_t node, const struct report_progress *progress, const char *text, size_t size)
{
	struct reported *t;

	if (node >= n_reported)
		return;
	t = &reported[node];
	t->progress = *progress;
	t->progress_ns = loop_now_ns();
	t->text[utf8_clean(t->text, sizeof(t->text) - 1, text, size)] = '\0';
}

void facts_progress(size_t node, struct control_node *ret)
{
	const struct reported *t;

	if (node >= n_reported || !reported[node].progress_ns)
		return;
	t = &reported[node];
	ret->progress_ns = t->progress_ns;
	ret->progress_done = t->progress.done;
	ret->progress_total = t->progress.total;
	ret->progress_per_second = t->progress.per_second;
	ret->progress_eta_s = t->progress.eta_s;
	memcpy(ret->progress_text, t->text, sizeof(ret->progress_text));
}
