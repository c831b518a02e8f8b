/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console as one more reader of the ring: it writes a line an event while /dev/console takes it and never waits
 * for it. A console that is too slow loses the oldest lines and says how many.
 */
#ifndef INIT_EVENT_CONSOLE_H
#define INIT_EVENT_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Opens /dev/console (or takes descriptor 2 if there is none) and begins with the oldest event in the ring. Call it
 * after loop_init() and event_init(). 0 or negative errno; on failure it tries again every few seconds by itself.
 */
int console_init(void);

/* Writes what is still unwritten, waiting for the device up to due_ns (CLOCK_BOOTTIME): the end of a shutdown. */
void console_flush(int64_t due_ns);

/* For events before the ring exists: writes this one record now, or loses it. */
void console_direct(const void *record, size_t size);

#endif
