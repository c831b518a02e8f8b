/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop.h for fuzz targets: sources and timers are kept, the target decides what happens when. */
#ifndef TESTS_FUZZ_FAKE_LOOP_H
#define TESTS_FUZZ_FAKE_LOOP_H

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "init/lib/loop.h"

#define FAKE_SOURCES_MAX 128

static struct loop_source *fake_sources[FAKE_SOURCES_MAX];
static struct loop_timer *fake_timers;
static int64_t fake_now_ns = 1000000000;

int64_t loop_now_ns(void)
{
	return fake_now_ns;
}

int loop_add(struct loop_source *source, int fd, uint32_t events)
{
	for (size_t i = 0; i < FAKE_SOURCES_MAX; i++) {
		if (fake_sources[i])
			continue;
		fake_sources[i] = source;
		source->fd = fd;
		source->events = events;
		return 0;
	}
	return -ENOSPC;
}

int loop_take(struct loop_source *source, int fd, uint32_t events)
{
	int r = fd < 0 ? fd : loop_add(source, fd, events);

	if (fd >= 0 && r < 0)
		close(fd);
	return r;
}

void loop_want(struct loop_source *source, uint32_t events)
{
	source->events = events;
}

void loop_remove(struct loop_source *source)
{
	for (size_t i = 0; i < FAKE_SOURCES_MAX; i++)
		if (fake_sources[i] == source)
			fake_sources[i] = NULL;
	source->fd = -1;
}

void loop_disarm(struct loop_timer *timer)
{
	for (struct loop_timer **at = &fake_timers; *at; at = &(*at)->next) {
		if (*at != timer)
			continue;
		*at = timer->next;
		break;
	}
	timer->armed = false;
}

void loop_arm(struct loop_timer *timer, int64_t due_ns)
{
	loop_disarm(timer);
	timer->due_ns = due_ns;
	timer->armed = true;
	timer->next = fake_timers;
	fake_timers = timer;
}

void loop_stop(void)
{
}

/* Time passes; each timer that was due by then has fired. */
static inline void fake_pass(int64_t ns)
{
	fake_now_ns += ns;
	for (int i = 0; i < 4 * FAKE_SOURCES_MAX; i++) {
		struct loop_timer *due = NULL;

		for (struct loop_timer *t = fake_timers; t; t = t->next)
			if (t->due_ns <= fake_now_ns && (!due || t->due_ns < due->due_ns))
				due = t;
		if (!due)
			return;
		loop_disarm(due);
		due->fire(due);
	}
}

/* One turn: what poll(2) says goes to each source that is still there. Returns how many were ready. */
static inline size_t fake_turn(void)
{
	struct pollfd polls[FAKE_SOURCES_MAX];
	struct loop_source *sources[FAKE_SOURCES_MAX];
	nfds_t n = 0;
	size_t ready = 0;

	for (size_t i = 0; i < FAKE_SOURCES_MAX; i++) {
		if (!fake_sources[i])
			continue;
		/* The bits of poll(2) and epoll(7) are the same. */
		polls[n] = (struct pollfd){.fd = fake_sources[i]->fd, .events = (short)fake_sources[i]->events};
		sources[n++] = fake_sources[i];
	}
	if (poll(polls, n, 0) <= 0)
		return 0;
	for (nfds_t i = 0; i < n; i++) {
		bool there = false;

		for (size_t k = 0; polls[i].revents && k < FAKE_SOURCES_MAX && !there; k++)
			there = fake_sources[k] == sources[i];
		ready += there;
		if (there && sources[i]->fd == polls[i].fd)
			sources[i]->ready(sources[i], (uint32_t)polls[i].revents);
	}
	return ready;
}

#endif
