/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time for stages: the clock every deadline is measured on, and the one way to wait before trying again. A wait
 * doubles up to its cap and is shortened by a random quarter at most, so that a thousand machines that lost the
 * same server do not come back in step.
 */
#ifndef STAGES_LIB_BACKOFF_H
#define STAGES_LIB_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t minimum_ms;
	int64_t maximum_ms;
	int64_t next_ms;	/* 0: start at the minimum */
};

/* CLOCK_BOOTTIME in milliseconds. */
int64_t time_now_ms(void);

/* The next wait; advances the state. */
int64_t backoff_next_ms(struct backoff *backoff);

/* Sleeps for that long, restarting after signals. */
void time_wait_ms(int64_t ms);

#endif
