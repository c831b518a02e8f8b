/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A byte ring of log lines as they are to be in the file. The caller locks it. */
#ifndef INIT_LOG_RING_H
#define INIT_LOG_RING_H

#include <stddef.h>

#define LOGRING_SIZE   (256 * 1024)
#define LOGRING_CHUNK  65536		/* written at once: at least the longest line */

struct logring {
	size_t begin, used;
	char bytes[LOGRING_SIZE];
};

/* How many bytes fit. */
size_t logring_room(const struct logring *ring);

/* Appends whole lines that fit. */
void logring_put(struct logring *ring, const char *bytes, size_t size);

/* Copies whole lines, or the rest of one, to out (LOGRING_CHUNK bytes); returns the size. */
size_t logring_peek(const struct logring *ring, char *out);

/* Removes the oldest `size` bytes. */
void logring_drop(struct logring *ring, size_t size);

#endif
