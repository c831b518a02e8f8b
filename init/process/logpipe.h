/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's side of the services' logs. It makes the pipes that services print into, keeps both ends and reads neither:
 * that is the role service-log's work, which is handed the ends to read from again after each of its starts. So a
 * crash of the role costs no service a SIGPIPE and no byte that was still in a pipe, and a service that prints without
 * end costs PID 1 nothing.
 */
#ifndef INIT_PROCESS_LOGPIPE_H
#define INIT_PROCESS_LOGPIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/config.h"

/* Before the loop; nothing happens where boot.json has no `logs`. 0 or negative errno. */
int logpipe_init(const struct config *config);

/* Whether this node's output goes to the role. */
bool logpipe_covers(size_t node);

/* For a start of the node: the ends to print into, which stay logpipe's. 0 or negative errno. */
int logpipe_open(size_t node, int *ret_out, int *ret_err);

/*
 * The node's process has ended. Calls done(with) once the role has read what was in its pipes, or after LOGPIPE_WAIT_NS
 * or when there is no role, whichever is first; before it returns if `wait` is false.
 */
#define LOGPIPE_WAIT_NS 200000000LL
void logpipe_exited(size_t node, bool wait, void (*done)(void *with), void *with);

/* The newest line since the latest logpipe_open(), cut to NODE_REASON_MAX; false: it has printed none. */
bool logpipe_last_line(size_t node, char *out);

/*
 * The last lines, each ended by NUL, from line *at on, as many as fit into room; moves *at on. Returns the size,
 * 0: there are no more. Lines that come meanwhile may be missed.
 */
size_t logpipe_lines(size_t node, size_t *at, char *out, size_t room);

/* Lines of a covered node that are in no file. */
uint64_t logpipe_dropped(size_t node);

/* Takes over PID 1's end of the channel to a role that was just started. 0, or negative errno with fd closed. */
int logpipe_attach(int fd);

/* The directory can be written to. Later calls do nothing. */
void logpipe_open_directory(void);

/* No service prints any more: the role shall write out what it has, and end. */
void logpipe_finish(void);

#endif
