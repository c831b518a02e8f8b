/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The events of PID 1 and the ring that keeps the newest ones. The ring has a fixed size and is allocated before the
 * loop starts; readers hold a sequence number, never a pointer. Adding an event never fails, waits or allocates: the
 * oldest events are evicted. PID 1's own events and the boot's have a part of the ring that other events cannot take
 * (quota.h has how many of each source).
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

/*
 * A message of PID 1 itself, printf-like. Kept, unless it is for debugging. source: a node's name or "gantry". Bytes
 * that are not printable UTF-8 are replaced.
 */
void event_say(enum event_level level, const char *source, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with fields. */
void event_tell(enum event_level level, const char *source, const struct fields *fields, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A state word, with fields or NULL. Kept. */
void event_state(enum event_level level, const char *source, const char *state, const struct fields *fields);

/* An event in the words of Gantry's own stages and roles: kept. As event_add(). */
void event_report(enum event_level level, enum event_kind kind, const char *source, const char *text, size_t text_size,
		  const char *fields, size_t fields_size);

/*
 * An event in anybody's words: not kept. Text and fields need no terminator; fields are "key=value", each ended by NUL,
 * checked and cut here.
 */
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
 * Copies the valid fields, cleaned, at most `room` bytes; the first value that does not fit is cut, the fields after it
 * are left out. Returns the size.
 */
size_t event_clean_fields(char *out, size_t room, const char *fields, size_t size);

/* How many events of each level were added, including evicted ones. */
void event_levels(uint64_t ret[EVENT_LEVEL_MAX]);

uint64_t event_last(void);
size_t event_entries(void);

/* Counts a dropped message; at most once a second, and eight times without a pause, an event reports the count. */
void event_count_drop(const char *source);
uint64_t event_drops(void);	/* counted by either function */

/* How often drops of one kind or sender are reported at most, whatever their number: struct bucket_limit. */
#define EVENT_DROP_REPORTS {.burst = 8, .every_ns = 60000000000}

/* Counts a dropped message that the caller itself reports. */
void event_count_told_drop(void);

/* Registers a function that event_add() calls after each event; for readers, before the loop starts. */
void event_on_add(void (*wake)(void));

#endif
