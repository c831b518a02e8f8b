/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of the persistent log: the newest part, the part before it, and the kept events (gantry/event.h) of all
 * parts before those. The kept events have a budget of their own, so no number of other events takes their room, and
 * within it only newer kept events do.
 */
#ifndef INIT_LOG_PARTS_H
#define INIT_LOG_PARTS_H

#include <fcntl.h>
#include <stdint.h>

#define LOG_NAME         "events.log"
#define LOG_OLD_NAME     "events.log.1"
#define LOG_KEPT_NAME    "events.log.kept"
#define PARTS_READ_FLAGS (O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

/* Cuts a file of more than `limit` bytes down to its newest lines of at most `rest` bytes. 0 or negative errno. */
int parts_shorten(int directory, const char *name, int64_t limit, int64_t rest);

/*
 * Appends the kept events of the older part to the file of kept events and syncs it, so that the part may be
 * overwritten. May be repeated after a failure and after a crash. 0 or negative errno.
 */
int parts_keep(int directory, int64_t limit);

#endif
