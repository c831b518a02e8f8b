/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting with backoff, for events without notification. CLOCK_BOOTTIME, because deadlines in PID 1 are measured on it
 * too.
 */
#define _GNU_SOURCE
#include "backoff.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

int64_t time_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t backoff_next_ms(struct backoff *b)
{
	uint32_t random = 0;
	int64_t wait;

	if (b->next_ms < b->minimum_ms)
		b->next_ms = b->minimum_ms;
	wait = b->next_ms;
	b->next_ms = b->next_ms >= b->maximum_ms / 2 ? b->maximum_ms : b->next_ms * 2;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = 0;
	return wait - (int64_t)(random % (uint32_t)(wait / 4 + 1));
}

void time_wait_ms(int64_t ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	if (ms <= 0)
		return;
	while (clock_nanosleep(CLOCK_BOOTTIME, 0, &t, &t) == EINTR)
		;
}
