/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the events of an earlier boot from the files of the persistent log. Works on open descriptors only, for a
 * confined process, and in memory that does not grow with the log.
 */
#ifndef INIT_API_LOGREAD_H
#define INIT_API_LOGREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "filter.h"

struct logread {
	int kept, older, newer;		/* events.log.kept, .1, events.log, opened for reading; -1: there is none */
	const char *boot_id;		/* of the running boot */
	const struct filter *filter;	/* its `boot` says which one: -1 is the last one before the running one */
	bool json;			/* an array as in GET /api/v1/events; otherwise lines as in GET /logs */
	const char *before;		/* written first, if there is such a boot; NULL: nothing */
};

/*
 * Writes the matching events to out, oldest first; blocks while out does. Events that the logger adds meanwhile are
 * left out. If it rotated the files between the two open()s, both may be the same file, which is then read once.
 * Returns the number of events, -ENOENT if the log has no such boot (nothing is written then), or negative errno.
 */
int64_t logread(const struct logread *what, int out);

#endif
