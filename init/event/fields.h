/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An event's fields while they are put together: "key=value", each ended by NUL. */
#ifndef INIT_EVENT_FIELDS_H
#define INIT_EVENT_FIELDS_H

#include <stddef.h>

#include <gantry/event.h>

/* Begins zeroed. Room for more than an event keeps, so that a long value is cut between characters. */
struct fields {
	size_t size;
	char bytes[2 * EVENT_FIELDS_MAX];
};

/* Adds key=value, the value printf-like; one that does not fit is cut, those after it are left out. */
void fields_add(struct fields *fields, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
