/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a line of a service goes: into its ring for the writer, into its tail, and if its log says so, to PID 1 as an
 * event. While the disk accepts nothing, lines are dropped and counted, and the count is reported as an event and in
 * the log itself.
 */
#ifndef INIT_LOG_LINES_H
#define INIT_LOG_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "format.h"
#include "init/lib/logtail.h"
#include "writer.h"

/* 0 or -ENOMEM. */
int lines_init(struct logshare *share, struct logtail *tails);

/* The time that lines get from now on. */
void lines_read_clock(void);

/* False: the line must wait for the writer. */
bool lines_take(size_t node, size_t stream, const struct logsplit_line *line);

/* Puts the line about an interruption into a new ring. */
void lines_interrupted(const struct logged *n, struct logring *ring);

#endif
