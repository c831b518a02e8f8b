/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The API's connection to PID 1: an up-to-date copy of its events, and the few requests that an HTTP client can cause.
 * Nothing here blocks; answers come by callback, in the order of the requests.
 */
#ifndef INIT_API_PID1_H
#define INIT_API_PID1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/control.h>

#include "init/lib/eventtext.h"
#include "init/lib/history.h"
#include "init/show/status.h"

/*
 * `gone` is called when PID 1 has closed the connection, `handed` when it hands over a descriptor (which is taken
 * over).
 */
int pid1_init(int fd, void (*gone)(void), void (*handed)(enum control_hand hand, int fd));

/* Starts to follow from the first event. */
int pid1_follow(void);

/* Called for each event as it comes. */
void pid1_on_event(void (*seen)(const struct event_view *e));

/*
 * api-tls: the SHA-256 of the certificate in use, 64 hex digits, and when it ends, in seconds since 1970, for the
 * status. 0 or negative errno.
 */
int pid1_certificate(const char *sha256, int64_t end_s);

/* The events received so far; empty until PID 1 has sent the size of its ring. */
const struct history *pid1_events(void);

/*
 * The first event with a number from *next to last. True: it is in e, which points into record (EVENT_RECORD_MAX
 * bytes), and *next is the number after it.
 */
bool pid1_read(uint64_t *next, uint64_t last, char *record, struct event_view *e);

/*
 * Number of the newest event. After a start the copy fills gradually; until it is complete this is the number that PID
 * 1 reported at the start. False: PID 1 has not answered yet.
 */
bool pid1_newest(uint64_t *ret);

/* `added` is called after every batch of events, and once when pid1_newest() is known. */
void pid1_on_events(void (*added)(void));

/*
 * Adds an event; outside: the text is an HTTP client's. done (may be NULL) gets 0 or PID 1's negative errno; by
 * then the event is in the ring. 0 or negative errno, then done is not called.
 */
int pid1_post(int level, bool outside, const char *text, size_t size, void (*done)(void *with, int result),
	      void *with);

/* done gets the collected status, valid during the call, or NULL. */
int pid1_status(void (*done)(void *with, const struct status *status), void *with);

/*
 * Begins an act (control.h): kind, its body, and a descriptor to attach (-1: none; stays the caller's). done gets the
 * act's id or PID 1's negative errno.
 */
int pid1_act(enum control_kind kind, const void *body, size_t size, int fd, void (*done)(void *with, int64_t result),
	     void *with);

#endif
