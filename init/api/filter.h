/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arguments that select events. A filter has plain values without pointers, so it can be sent to another process,
 * which checks it with filter_valid() before use.
 */
#ifndef INIT_API_FILTER_H
#define INIT_API_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/eventtext.h"

#define FILTER_SOURCES_MAX 16
#define FILTER_DIGITS_MAX  18		/* of a decimal number: fits every integer of 64 bits */
#define FILTER_BOOT_MAX    999999

enum filter_argument {
	FILTER_SINCE,
	FILTER_LEVEL,
	FILTER_SOURCE,
	FILTER_LIMIT,
	FILTER_BOOT,
	FILTER_ACTION,
	FILTER_ARGUMENT_MAX,
};

struct filter {
	uint32_t given;			/* 1 << enum filter_argument */
	uint32_t level;			/* this one and above */
	uint64_t since;			/* events with a higher number */
	uint64_t limit;			/* if given: only so many, the newest */
	uint64_t action;		/* if given: events of the action with this id */
	int32_t boot;			/* 0: this one; -1: the one before it */
	uint32_t n_sources;		/* if any: events of one of them */
	char sources[FILTER_SOURCES_MAX][EVENT_SOURCE_MAX + 1];
};

/*
 * Adds one argument; value (NULL: none) needs no terminator. Names that are not in the table are ignored.
 * 0, or -EINVAL: malformed, too many of it, or given twice.
 */
int filter_argument(struct filter *filter, const char *name, size_t name_size, const char *value, size_t size);

/* The bare decimal number that all arguments use. 0 or -EINVAL. */
int filter_number(uint64_t *ret, const char *value, size_t size);

bool filter_given(const struct filter *filter, enum filter_argument argument);

/* For a filter from an untrusted process: true if every value is one that filter_argument() could have set. */
bool filter_valid(const struct filter *filter);

/* Whether the event matches. `limit` and `boot` are not considered: the caller applies them. */
bool filter_matches(const struct filter *filter, const struct event_view *e);

#endif
