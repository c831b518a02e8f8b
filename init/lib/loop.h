/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop of PID 1: level-triggered epoll over descriptors, and timers on one timerfd of CLOCK_BOOTTIME. Sources
 * and timers are embedded in their owners; the loop allocates nothing. A removed source or timer is never called again,
 * even if it is removed from within a callback.
 */
#ifndef INIT_LIB_LOOP_H
#define INIT_LIB_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <gantry/control.h>

struct loop_source {
	int fd;			/* -1: not in the loop; stays the owner's */
	uint32_t events;
	void (*ready)(struct loop_source *source, uint32_t events);
};

struct loop_timer {
	int64_t due_ns;		/* CLOCK_BOOTTIME */
	bool armed;
	struct loop_timer *next;
	void (*fire)(struct loop_timer *timer);
};

#define LOOP_SOURCE_INIT {.fd = -1}

/* CLOCK_BOOTTIME in nanoseconds. */
int64_t loop_now_ns(void);

/* Creates epoll and timerfd. 0 or negative errno. */
int loop_init(void);

/* Adds source->ready for fd; events: EPOLLIN and others, 0: none yet. 0 or negative errno; fd stays the caller's. */
int loop_add(struct loop_source *source, int fd, uint32_t events);

/* The same, but closes fd on failure; a negative errno in place of fd is returned. */
int loop_take(struct loop_source *source, int fd, uint32_t events);
void loop_want(struct loop_source *source, uint32_t events);
void loop_remove(struct loop_source *source);

/* Fires once at due_ns, or at once if that has passed; arming an armed timer moves it. */
void loop_arm(struct loop_timer *timer, int64_t due_ns);
void loop_disarm(struct loop_timer *timer);

/* Runs until loop_stop(); calls `after` (may be NULL) after every batch of events. */
void loop_run(void (*after)(void));
void loop_stop(void);

/* Durations of the turns so far, without the waiting. */
const struct control_turns *loop_turns(void);

#endif
