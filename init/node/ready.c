/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements ready.h. A socket that cannot be added to the loop is tried again by the watch's timer, without end. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <gantry/role.h>

#include "init/event/event.h"
#include "init/event/sender.h"
#include "init/lib/inbox.h"
#include "init/lib/bucket.h"
#include "init/lib/loop.h"
#include "init/lib/unixsock.h"
#include "init/process/relay.h"
#include "probe.h"
#include "ready.h"
#include "whose.h"

#define ASK_MIN_NS    5000000LL
#define ASK_MAX_NS 1000000000LL
#define NOTIFY_BUDGET 64
#define PIPE_BUDGET   16

/* Events of one service about its reloads. A change above it is reported later, with the number of those before it. */
static const struct bucket_limit reload_limit = {.burst = 16, .every_ns = 60000000000LL};

struct watch {
	size_t node;
	bool active;
	bool reloading;			/* it sent RELOADING=1, and no READY=1 since */
	bool reported_reloading;	/* its latest event says so */
	uint64_t reloads_unreported;
	struct bucket reload_reports;
	struct loop_timer reload_timer;
	struct relay_pipe pipe;		/* from the start to the first newline */
	bool held;			/* somebody holds that pipe */
	struct loop_source source;	/* of its socket */
	struct loop_timer timer;
	int64_t delay_ns;
};

static struct plan *plan;
static struct watch *watches;
static void (*became_ready)(size_t node);
static struct loop_source notify = LOOP_SOURCE_INIT;
static struct inbox_public inbox = INBOX_PUBLIC_INIT(&notify);

static void close_socket(struct watch *watch)
{
	loop_remove(&watch->source);
	relay_close(&watch->pipe, watch->held, plan->nodes[watch->node].config->name);
	watch->held = false;
}

static void report_reload(struct watch *watch)
{
	const char *name = plan->nodes[watch->node].config->name;
	const char *now = watch->reloading ? "reloading" : "reloaded";

	if (watch->reloads_unreported > 0)
		event_say(EVENT_INFO, name, "%s; %" PRIu64 " more reload%s since the last report", now,
			  watch->reloads_unreported, watch->reloads_unreported == 1 ? "" : "s");
	else if (watch->reloading != watch->reported_reloading)
		event_say(EVENT_INFO, name, "%s", now);
	watch->reported_reloading = watch->reloading;
	watch->reloads_unreported = 0;
}

void ready_forget(size_t node)
{
	struct watch *watch = &watches[node];

	if (watch->reloads_unreported > 0)
		report_reload(watch);
	watch->active = watch->reloading = watch->reported_reloading = false;
	loop_disarm(&watch->reload_timer);
	close_socket(watch);
	loop_disarm(&watch->timer);
	probe_end(node);
}

static void is_ready(struct watch *watch)
{
	size_t node = watch->node;

	ready_forget(node);
	became_ready(node);
}

static void retry_later(struct watch *watch)
{
	loop_arm(&watch->timer, loop_now_ns() + watch->delay_ns);
	watch->delay_ns *= 2;
	if (watch->delay_ns > ASK_MAX_NS)
		watch->delay_ns = ASK_MAX_NS;
}

/* ---- descriptor ----------------------------------------------------------------------------------------------- */

int ready_pipe(size_t node)
{
	struct watch *watch = &watches[node];
	int r;

	ready_forget(node);
	r = relay_may(plan->nodes[node].config->name) ? relay_open(&watch->pipe) : -EBUSY;
	return r < 0 ? r : watch->pipe.write_fd;
}

void ready_given(size_t node)
{
	relay_alone(&watches[node].pipe);
}

static void read_socket(struct watch *watch)
{
	const char *name = plan->nodes[watch->node].config->name, *bytes;
	size_t size;

	for (int i = 0; i < PIPE_BUDGET; i++) {
		switch (relay_receive(watch->pipe.socket, &bytes, &size)) {
		case RELAY_BYTES:
			if (memchr(bytes, '\n', size)) {
				is_ready(watch);
				return;
			}
			break;
		case RELAY_HELD:
			watch->held = true;
			event_say(EVENT_WARNING, name, "its readiness descriptor cannot be read: a process holds the "
				  "pipe");
			break;
		case RELAY_FREE:
			watch->held = false;
			break;
		case RELAY_END:
			watch->held = false;
			event_say(EVENT_WARNING, name, "closed its readiness descriptor without a newline");
			close_socket(watch);
			return;
		case RELAY_NOTHING:
			return;
		}
	}
}

static void listen_to_socket(struct watch *watch)
{
	if (watch->pipe.socket >= 0 && loop_add(&watch->source, watch->pipe.socket, EPOLLIN) < 0)
		retry_later(watch);
}

/* ---- one watch ------------------------------------------------------------------------------------------------ */

static void source_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	read_socket((struct watch *)((char *)source - offsetof(struct watch, source)));
}

static void look(struct watch *watch)
{
	switch (plan->nodes[watch->node].config->ready) {
	case READY_STARTED:
		is_ready(watch);
		break;
	case READY_FD:
		listen_to_socket(watch);
		break;
	case READY_PATH:
	case READY_TCP:
	case READY_EXEC:
		probe_begin(watch->node, PROBE_READY);
		break;
	case READY_NOTIFY:
	case READY_EXIT:
		break;
	}
}

static void timer_fired(struct loop_timer *timer)
{
	look((struct watch *)((char *)timer - offsetof(struct watch, timer)));
}

void ready_probed(size_t node)
{
	if (watches[node].active)
		is_ready(&watches[node]);
}

void ready_expect(size_t node)
{
	ready_forget(node);
	watches[node].active = true;
}

void ready_watch(size_t node)
{
	struct watch *watch = &watches[node];
	struct relay_pipe pipe = watch->pipe;

	watch->pipe = (struct relay_pipe)RELAY_PIPE_NONE;
	ready_forget(node);
	watch->pipe = pipe;
	watch->active = true;
	watch->delay_ns = ASK_MIN_NS;
	look(watch);
}

/* ---- notify --------------------------------------------------------------------------------------------------- */

static void say_status(size_t node, const char *value)
{
	const char *name = plan->nodes[node].config->name;

	if (sender_may(name, loop_now_ns()))
		event_add(EVENT_INFO, EVENT_MESSAGE, name, value, strcspn(value, "\n"), NULL, 0);
}

static void reload_due(struct loop_timer *timer)
{
	struct watch *watch = (struct watch *)((char *)timer - offsetof(struct watch, reload_timer));

	bucket_take(&watch->reload_reports, &reload_limit, loop_now_ns());
	report_reload(watch);
}

static void reload(struct watch *watch, bool reloading)
{
	int64_t now_ns = loop_now_ns();

	if (watch->reloading == reloading)
		return;
	watch->reloading = reloading;
	if (!watch->reload_timer.armed && bucket_take(&watch->reload_reports, &reload_limit, now_ns)) {
		report_reload(watch);
		return;
	}
	watch->reloads_unreported += reloading;
	if (!watch->reload_timer.armed)
		loop_arm(&watch->reload_timer, bucket_due(&watch->reload_reports, &reload_limit, now_ns));
}

static void say_ready(size_t node, const char *value)
{
	struct watch *watch = &watches[node];

	(void)value;
	reload(watch, false);
	if (watch->active && plan->nodes[node].config->ready == READY_NOTIFY)
		is_ready(watch);
}

static void say_reloading(size_t node, const char *value)
{
	(void)value;
	reload(&watches[node], true);
}

static void say_alive(size_t node, const char *value)
{
	(void)value;
	plan_alive(plan, node, loop_now_ns());
}

static void say_dead(size_t node, const char *value)
{
	(void)value;
	plan_unhealthy(plan, node, "watchdog: the service sent WATCHDOG=trigger", loop_now_ns());
}

static void say_stopping(size_t node, const char *value)
{
	(void)value;
	plan_stopping(plan, node, loop_now_ns());
}

/* The assignments of sd_notify(3) that are supported; one that ends in "=" has any value. */
static const struct {
	const char *word;
	void (*say)(size_t node, const char *value);
} words[] = {
	{"READY=1", say_ready},		{"STATUS=", say_status},	{"STOPPING=1", say_stopping},
	{"WATCHDOG=1", say_alive},	{"WATCHDOG=trigger", say_dead},	{"RELOADING=1", say_reloading},
};

static void one_line(size_t node, const char *line)
{
	size_t size = strcspn(line, "\n");

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i].word);

		if (!strncmp(line, words[i].word, n) && (size == n || words[i].word[n - 1] == '=')) {
			words[i].say(node, line + n);
			return;
		}
	}
}

/* A message of a process that belongs to no service is dropped and counted. */
static void notified(pid_t pid, const char *text)
{
	const char *name = whose_pid(pid);
	size_t node;

	if (!name || plan_find(plan, name, &node) < 0 || plan->nodes[node].config->kind != NODE_SERVICE) {
		event_count_drop("notify");
		return;
	}
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		one_line(node, line);
}

static void notify_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	(void)source;
	for (int i = 0; i < NOTIFY_BUDGET; i++) {
		char text[1025];
		struct iovec part = {text, sizeof(text) - 1};
		struct inbox_message message;
		/* sd_notify can store descriptors; PID 1 does not. */
		ssize_t n = inbox_receive_public(&inbox, &part, 1, &message);

		if (n < 0)
			return;
		text[n] = '\0';
		if (message.sender.pid > 0)
			notified(message.sender.pid, text);
	}
}

static int open_notify(void)
{
	notify.ready = notify_ready;
	return loop_take(&notify, unixsock_bind(NOTIFY_SOCKET, SOCK_DGRAM), EPOLLIN);
}

int ready_init(struct plan *with, void (*callback)(size_t node))
{
	plan = with;
	became_ready = callback;
	watches = calloc(plan->n_nodes ? plan->n_nodes : 1, sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_nodes; i++) {
		watches[i].node = i;
		watches[i].pipe = (struct relay_pipe)RELAY_PIPE_NONE;
		watches[i].source.fd = -1;
		watches[i].source.ready = source_ready;
		watches[i].timer.fire = timer_fired;
		watches[i].reload_timer.fire = reload_due;
	}
	return open_notify();
}
