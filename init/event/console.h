/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console, a reader of the event ring: it writes one line per event as fast as /dev/console takes them and never
 * waits for it. A console that is too slow misses the oldest events and shows how many it missed.
 */
#ifndef INIT_EVENT_CONSOLE_H
#define INIT_EVENT_CONSOLE_H

#include <stdint.h>

/*
 * Opens /dev/console (or the file of descriptor 2 if there is none) and begins with the oldest event in the ring. Call
 * it once, after loop_init(). 0 or negative errno; on failure it tries again every few seconds by itself.
 */
int console_init(void);

/* Writes all remaining lines, waiting for the device until due_ns (CLOCK_BOOTTIME) at most: the end of a shutdown. */
void console_flush(int64_t due_ns);

#endif
