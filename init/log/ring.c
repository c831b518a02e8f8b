/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements ring.h. */
#include <string.h>

#include "ring.h"

size_t logring_room(const struct logring *ring)
{
	return sizeof(ring->bytes) - ring->used;
}

void logring_put(struct logring *ring, const char *bytes, size_t size)
{
	size_t at = (ring->begin + ring->used) % sizeof(ring->bytes);
	size_t first = sizeof(ring->bytes) - at < size ? sizeof(ring->bytes) - at : size;

	memcpy(ring->bytes + at, bytes, first);
	memcpy(ring->bytes, bytes + first, size - first);
	ring->used += size;
}

size_t logring_peek(const struct logring *ring, char *out)
{
	size_t size = ring->used < LOGRING_CHUNK ? ring->used : LOGRING_CHUNK;
	size_t first = sizeof(ring->bytes) - ring->begin < size ? sizeof(ring->bytes) - ring->begin : size;
	const char *newline;

	memcpy(out, ring->bytes + ring->begin, first);
	memcpy(out + first, ring->bytes, size - first);
	newline = memrchr(out, '\n', size);
	return newline ? (size_t)(newline + 1 - out) : size;
}

void logring_drop(struct logring *ring, size_t size)
{
	ring->begin = (ring->begin + size) % sizeof(ring->bytes);
	ring->used -= size;
}
