/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The API's connection to PID 1: a copy of its events, kept up to date, and the few requests an HTTP client can
 * cause. Nothing here waits; answers come by callback, in the order of the requests.
 */
#ifndef API_PID1_H
#define API_PID1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ring.h"
#include "../status.h"

/* Starts to follow from the first event. `gone` is called when PID 1 has closed the connection. */
int pid1_init(int fd, void (*gone)(void));

/* The events seen so far; empty until PID 1 has told how many it keeps. */
const struct ring *pid1_events(void);

/*
 * Adds an event; outside: in the words of an HTTP client. done (may be NULL) gets 0 or PID 1's negative errno; by
 * then the event is in the ring. 0 or negative errno, then done is not called.
 */
int pid1_post(int level, bool outside, const char *text, size_t size, void (*done)(void *with, int result),
	      void *with);

/* done gets the collected status, valid during the call, or NULL. */
int pid1_status(void (*done)(void *with, const struct status *status), void *with);

#endif
