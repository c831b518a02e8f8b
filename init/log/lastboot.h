/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the previous boot ended, from the persistent log: a boot that was shut down in order has an event "down" of
 * PID 1. Lines go in from the oldest to the newest.
 */
#ifndef INIT_LOG_LASTBOOT_H
#define INIT_LOG_LASTBOOT_H

#include <stdbool.h>
#include <stddef.h>

#include "init/show/logline.h"

struct lastboot {
	const char *running;		/* boot_id of the running boot; set by the owner */
	bool any;			/* the log has an earlier boot */
	bool over;			/* the current line belongs to the running boot */
	bool ended;			/* it has an event "down" */
	char id[LOG_BOOT_ID_MAX];
	size_t fields_size;
	char fields[EVENT_FIELDS_MAX];	/* of that event */
	size_t last_size;
	char last[LOG_LINE_MAX];	/* that event, or the newest line of the boot */
};

/* Takes the next line, a boot line. */
void lastboot_boot(struct lastboot *last, const struct log_boot *boot);

/* Takes the next line of another kind. */
void lastboot_line(struct lastboot *last, const char *line, size_t size);

/*
 * Fields "key=value", each ended by NUL: in_order, at, and the fields of the event "down". Returns the size, 0 if the
 * log has no earlier boot. The result is always valid fields of an event, even if the log is damaged.
 */
size_t lastboot_fields(const struct lastboot *last, char *ret, size_t room);

#endif
