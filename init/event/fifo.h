/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The legacy FIFO: each line becomes an event with source "fifo". It is held open for reading and writing, so a writer
 * never blocks in open() and the reader never spins on an end of file.
 */
#ifndef INIT_EVENT_FIFO_H
#define INIT_EVENT_FIFO_H

/* Makes the FIFO (mode 0666) if needed and reads it from the loop. 0, or negative errno, also reported as an event. */
int fifo_init(const char *path);

#endif
