/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The events of PID 1 and the ring that keeps the newest ones. The ring has a fixed size and is allocated before the
 * loop starts; readers hold a sequence number, never a pointer. Adding an event never fails, waits or allocates: the
 * oldest events are evicted.
 */
#ifndef INIT_EVENT_EVENT_H
#define INIT_EVENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/event.h>

#include "fields.h"

/*
 * Allocates the ring for at most `entries` events. 0 or negative errno. Events added earlier are kept in a small static
 * ring and move to the new one; if the allocation fails, the small ring stays in use.
 */
int event_init(size_t entries);

/* A message, printf-like. Source: a node's name or "gantry". Bytes that are not printable UTF-8 are replaced. */
void event_say(enum event_level level, const char *source, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with fields. */
void event_tell(enum event_level level, const char *source, const struct fields *fields, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A state word, with fields or NULL. */
void event_state(enum event_level level, const char *source, const char *state, const struct fields *fields);

/* Any event; text and fields need no terminator; fields: "key=value" NUL each, checked and cut here. */
void event_add(enum event_level level, enum event_kind kind, const char *source, const char *text, size_t text_size,
	       const char *fields, size_t fields_size);

/*
 * Copies the first event with at least *seq to record (EVENT_RECORD_MAX bytes) and returns its size; sets *seq to
 * its number. 0: there is none yet.
 */
size_t event_read(uint64_t *seq, void *record);

/* Whether these bytes are one field, "key=value". */
bool event_is_field(const char *field, size_t size);

/*
 * Copies what has the form key=value, cleaned, at most `room` bytes; the value that no longer fits is cut, the fields
 * after it are left out. Returns the size.
 */
size_t event_clean_fields(char *out, size_t room, const char *fields, size_t size);

/* How many events of each level the ring has taken, kept until now or not. */
void event_levels(uint64_t ret[EVENT_LEVEL_MAX]);

uint64_t event_last(void);
size_t event_entries(void);

/* Drops that must not be silent: counted here, said once a second at most as one event "N messages dropped". */
void event_count_drop(const char *source);
uint64_t event_drops(void);	/* of both kinds */

/* A drop that whoever counts it says itself. */
void event_count_told_drop(void);

/* Called by event_add after each event; readers (console, subscribers) register here before the loop starts. */
void event_on_add(void (*wake)(void));

#endif
