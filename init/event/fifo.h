/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The legacy FIFO: one line, one event, source "fifo". It is held open for reading and writing, so a writer never
 * blocks in open() and the reader never sees an end of file to spin on.
 */
#ifndef INIT_EVENT_FIFO_H
#define INIT_EVENT_FIFO_H

/* Makes the FIFO (mode 0666) if it is missing and reads it from the loop. 0 or negative errno, said as an event. */
int fifo_init(const char *path);

#endif
