/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The legacy FIFO: each line becomes an event with source "fifo". It is held open for reading and writing, so a writer
 * never blocks in open() and the reader never spins on an end of file. The relay (relay.h) reads it. A FIFO that
 * somebody holds is replaced by a new one of the same name, which later writers open.
 */
#ifndef INIT_PROCESS_FIFO_H
#define INIT_PROCESS_FIFO_H

/*
 * Makes the FIFO (mode 0666) if needed and has it read; path must stay valid. 0, or negative errno, also reported as an
 * event.
 */
int fifo_init(const char *path);

#endif
