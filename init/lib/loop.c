/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements loop.h. A source that is removed during a batch is deleted from that batch, so a callback may remove any
 * source, including its own. Timers are a sorted list: there are about as many as nodes, and they rarely change.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

#define BATCH 64

static int epoll_fd = -1;
static int timer_fd = -1;
static struct control_turns turns;
static bool running;
static struct loop_timer *timers;
static int64_t armed_ns;
static struct epoll_event batch[BATCH];
static int batch_size;

int64_t loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int loop_init(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return -errno;
	timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer_fd < 0)
		return -errno;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) < 0)
		return -errno;
	return 0;
}

int loop_add(struct loop_source *source, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	source->fd = fd;
	source->events = events;
	return 0;
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
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (source->fd < 0 || source->events == events)
		return;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, source->fd, &event) == 0)
		source->events = events;
}

void loop_remove(struct loop_source *source)
{
	if (source->fd < 0)
		return;
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
	for (int i = 0; i < batch_size; i++)
		if (batch[i].data.ptr == source)
			batch[i].data.ptr = NULL;
}

static void set_timer(void)
{
	struct itimerspec spec = {0};
	int64_t due = timers ? timers->due_ns : 0;

	if (due == armed_ns)
		return;
	if (timers) {
		if (due <= 0)
			due = 1;
		spec.it_value.tv_sec = due / 1000000000LL;
		spec.it_value.tv_nsec = due % 1000000000LL;
	}
	if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0)
		armed_ns = timers ? timers->due_ns : 0;
}

void loop_disarm(struct loop_timer *timer)
{
	if (!timer->armed)
		return;
	for (struct loop_timer **at = &timers; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			break;
		}
	}
	timer->armed = false;
	timer->next = NULL;
}

void loop_arm(struct loop_timer *timer, int64_t due_ns)
{
	struct loop_timer **at = &timers;

	loop_disarm(timer);
	while (*at && (*at)->due_ns <= due_ns)
		at = &(*at)->next;
	timer->due_ns = due_ns;
	timer->armed = true;
	timer->next = *at;
	*at = timer;
}

/* The timerfd is the source without an owner. It is read only when it has fired. */
static void read_timer(void)
{
	uint64_t ticks;

	for (int i = 0; i < batch_size; i++)
		if (!batch[i].data.ptr && read(timer_fd, &ticks, sizeof(ticks)) == sizeof(ticks))
			armed_ns = 0;
}

/* Fires the timers due at the moment of the call; a timer armed again by its callback waits for the next turn. */
static void fire_timers(void)
{
	int64_t now = loop_now_ns();

	read_timer();
	for (int i = 0; i < 1024 && timers && timers->due_ns <= now; i++) {
		struct loop_timer *timer = timers;

		loop_disarm(timer);
		timer->fire(timer);
	}
}

const struct control_turns *loop_turns(void)
{
	return &turns;
}

static void count_turn(int64_t from_ns)
{
	static const int64_t bounds_ns[] = CONTROL_TURN_BOUNDS_NS;
	int64_t took_ns = loop_now_ns() - from_ns;
	size_t bucket = 0;

	while (bucket < CONTROL_TURN_BUCKETS - 1 && took_ns > bounds_ns[bucket])
		bucket++;
	turns.count[bucket]++;
	turns.sum_ns += (uint64_t)took_ns;
	if ((uint64_t)took_ns > turns.max_ns)
		turns.max_ns = (uint64_t)took_ns;
}

void loop_run(void (*after)(void))
{
	int64_t woken_ns = 0;

	running = true;
	while (running) {
		int n;

		set_timer();
		if (woken_ns)
			count_turn(woken_ns);
		n = epoll_wait(epoll_fd, batch, BATCH, -1);
		woken_ns = loop_now_ns();
		batch_size = n > 0 ? n : 0;
		fire_timers();
		for (int i = 0; i < batch_size; i++) {
			struct loop_source *source = batch[i].data.ptr;

			if (source)
				source->ready(source, batch[i].events);
		}
		batch_size = 0;
		if (after)
			after();
	}
}

void loop_stop(void)
{
	running = false;
}
