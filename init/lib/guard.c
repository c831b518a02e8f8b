/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements guard.h. The turn to work is a flag under a lock, and not itself a lock: it is taken over from a thread
 * that cannot give it. The thread that watches sleeps without a timer while no call is made.
 */
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "guard.h"

static struct guard program;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_free = PTHREAD_COND_INITIALIZER, call_made = PTHREAD_COND_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static bool working;		/* a thread has the turn */
static bool watching;		/* the watching thread looks by itself */
static bool inside;		/* the thread that has the turn is in a call */
static void *inside_with;
static uint64_t calls;

static _Thread_local uint64_t own_call;
static _Thread_local bool late;

static void take_turn(void)
{
	while (working)
		pthread_cond_wait(&turn_free, &lock);
	working = true;
}

static void give_turn(void)
{
	working = false;
	pthread_cond_signal(&turn_free);
}

void guard_rest(void)
{
	pthread_mutex_lock(&lock);
	give_turn();
	pthread_mutex_unlock(&lock);
}

void guard_resume(void)
{
	pthread_mutex_lock(&lock);
	take_turn();
	pthread_mutex_unlock(&lock);
}

void guard_call(void *with)
{
	bool wake;

	pthread_mutex_lock(&lock);
	own_call = ++calls;
	inside = true;
	inside_with = with;
	wake = !watching;
	watching = true;
	pthread_mutex_unlock(&lock);
	if (wake)
		pthread_cond_signal(&call_made);
}

bool guard_done(void)
{
	bool in_time;

	pthread_mutex_lock(&lock);
	in_time = inside && calls == own_call;
	if (in_time) {
		inside = false;
	} else {
		late = true;
		take_turn();
	}
	pthread_mutex_unlock(&lock);
	return in_time;
}

bool guard_late(void)
{
	return late;
}

static void work(void)
{
	while (!late)
		program.turn();
	guard_rest();
}

static int start_watching(void);

/* Returns what a thread waits for that has had its time, with `lock` taken. */
static void *await_late_call(void)
{
	const struct timespec patience = {.tv_nsec = GUARD_PATIENCE_MS * 1000000};
	uint64_t seen;
	bool was_inside;

	for (;;) {
		while (!watching)
			pthread_cond_wait(&call_made, &lock);
		seen = calls;
		was_inside = inside;
		pthread_mutex_unlock(&lock);
		nanosleep(&patience, NULL);
		pthread_mutex_lock(&lock);
		if (calls != seen)
			continue;
		if (!inside)
			watching = false;
		else if (was_inside && start_watching() == 0)
			return inside_with;
	}
}

static void *watch(void *with)
{
	(void)with;
	pthread_mutex_lock(&lock);
	with = await_late_call();
	inside = false;		/* the turn is this thread's now */
	pthread_mutex_unlock(&lock);
	program.held(with);
	work();
	return NULL;
}

static int start_watching(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int r;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, program.stack_size);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = -pthread_create(&thread, &attributes, watch, NULL);
	pthread_attr_destroy(&attributes);
	return r;
}

int guard_run(const struct guard *guard)
{
	int r;

	program = *guard;
	working = true;
	r = start_watching();
	if (r < 0)
		return r;
	work();
	/* A process whose first thread has ended looks like a dead one. */
	pthread_mutex_lock(&lock);
	for (;;)
		pthread_cond_wait(&never, &lock);
}
