/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's side of the services' logs. PID 1 creates the pipes for services' output, keeps both ends and reads neither:
 * the role service-log reads them and gets the read ends again after each of its starts. So a crash of the role causes
 * no SIGPIPE in a service and loses no byte that is still in a pipe, and a service that prints without end costs PID 1
 * nothing.
 */
#ifndef INIT_PROCESS_LOGPIPE_H
#define INIT_PROCESS_LOGPIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/config.h"

/* Call before the loop; does nothing if boot.json has no `logs`. 0 or negative errno. */
int logpipe_init(const struct config *config);

/* Whether there are logs: boot.json has `logs` and a node, and logpipe_init() succeeded. */
bool logpipe_active(void);

/* Whether service-log reads this node's output. */
bool logpipe_covers(size_t node);

/* Returns the write ends for a start of the node; logpipe keeps owning them. 0 or negative errno. */
int logpipe_open(size_t node, int *ret_out, int *ret_err);

/*
 * The node's process has exited. Calls done(with) once the role has emptied its pipes, after LOGPIPE_WAIT_NS, or when
 * the role does not run, whichever is first; if `wait` is false, before returning.
 */
#define LOGPIPE_WAIT_NS 200000000LL
void logpipe_exited(size_t node, bool wait, void (*done)(void *with), void *with);

/* Copies the newest line since the latest logpipe_open(), cut to NODE_REASON_MAX; false if there is none. */
bool logpipe_last_line(size_t node, char *out);

/* The line of that process that output_cause() is for, in out, NODE_REASON_MAX bytes, or NULL. */
const char *logpipe_cause(size_t node, char *out);

/*
 * Copies the last lines, each terminated by NUL, from line *at on, as many as fit into room bytes; advances *at.
 * Returns the size, 0 if there are no more. Lines printed between two calls may be missed.
 */
size_t logpipe_lines(size_t node, size_t *at, char *out, size_t room);

/* Number of lines of a covered node that are in no file. */
uint64_t logpipe_dropped(size_t node);

/* Takes over PID 1's end of the channel to a newly started role. 0, or negative errno with fd closed. */
int logpipe_attach(int fd);

/* Lets the role write to the log directory, which is mounted now. Later calls do nothing. */
void logpipe_open_directory(void);

/* Asks the role to write out its lines and exit; call when no service prints any more. */
void logpipe_finish(void);

#endif
