/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the boot before this one ended, out of the persistent log: it has an event "down" of PID 1 as its last words, or
 * it did not end in order. Lines go in from the oldest to the newest.
 */
#ifndef INIT_LOG_LASTBOOT_H
#define INIT_LOG_LASTBOOT_H

#include <stdbool.h>
#include <stddef.h>

#include "init/show/logline.h"

struct lastboot {
	const char *running;		/* id of the boot that runs; the owner's */
	bool any;			/* there was one before it */
	bool over;			/* lines are of the running boot */
	bool ended;			/* it has a record */
	char id[LOG_BOOT_ID_MAX];
	size_t fields_size;
	char fields[EVENT_FIELDS_MAX];	/* of the record */
	size_t last_size;
	char last[LOG_LINE_MAX];	/* its record, or the newest of its lines */
};

/* The next line, which begins a boot. */
void lastboot_boot(struct lastboot *last, const struct log_boot *boot);

/* Any other line. */
void lastboot_line(struct lastboot *last, const char *line, size_t size);

/*
 * "key=value" NUL each: in_order, at, and if there is a record what it says. The size, 0: no boot before this one is
 * known. Whatever the disk held, these are fields of an event.
 */
size_t lastboot_fields(const struct lastboot *last, char *ret, size_t room);

#endif
