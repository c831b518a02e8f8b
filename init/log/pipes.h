/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pipes of the services, read line by line. A pipe that somebody holds (init/lib/guard.h) costs a thread, and its
 * service its lines. Nothing here waits.
 */
#ifndef INIT_LOG_PIPES_H
#define INIT_LOG_PIPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"

/* What epoll gives back for a pipe; never 0 or UINT64_MAX. */
#define PIPES_KEY(node, stream) ((uint64_t)(node) * LOG_STREAMS + (stream) + 1)

extern const size_t pipes_node_size;	/* bytes of memory for each */

/* 0 or negative errno, in all of these. The pipes are added to that epoll descriptor. */
int pipes_init(size_t nodes, int epoll_fd);
int pipes_add_node(size_t node);
int pipes_add(size_t node, size_t stream, int fd);	/* of a node that was added; fd is taken over on success */

bool pipes_has(size_t node);

/* That pipe can be read. */
void pipes_ready(size_t node, size_t stream);

/* Takes lines of paused streams: there may be room again, or waiting has become pointless. */
void pipes_resume(void);

/* Something has to be looked at again that no event tells. */
bool pipes_wait(void);

/* Its process has ended: PID 1 gets LOG_READ with that argument once the rest is read. */
void pipes_ended(size_t node, uint32_t argument);

/* All output that is in the pipes is in the rings. */
bool pipes_read_all(void);

/* For guard_run(): called by the thread that goes on in place of the one that reads the stream. */
void pipes_held(void *stream);

#endif
