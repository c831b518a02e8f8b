/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The events of an earlier boot, out of the persistent log's two files. For a process of its own that has the files
 * open and a client's socket: it works over descriptors alone, and its memory does not grow with the log.
 */
#ifndef INIT_API_LOGREAD_H
#define INIT_API_LOGREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "filter.h"

struct logread {
	int older, newer;		/* events.log.1 and events.log, opened for reading; -1: there is none */
	const char *boot_id;		/* of the running boot */
	const struct filter *filter;	/* its `boot` says which one: -1 is the last one before the running one */
	bool json;			/* an array as of GET /api/v1/events; otherwise lines as of GET /logs */
	const char *before;		/* written first, if there is such a boot; NULL: nothing */
};

/*
 * Writes the events that match to out, oldest first; waits where out does. The logger may go on writing: what it adds
 * after the start is left out. If it has changed the files between the two open()s both may be the same one, then it is
 * read once. The number of events, -ENOENT if the log has no such boot (nothing is written then), or negative errno.
 */
int64_t logread(const struct logread *what, int out);

#endif
