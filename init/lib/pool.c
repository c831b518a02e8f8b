/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements pool.h with mmap() instead of malloc(): long-lived memory does not fragment the heap, whose pages can then
 * be released, and an untouched page of a chunk uses no memory.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "pool.h"

#define CHUNK_SIZE 65536
#define ALIGNMENT  8

struct pool_chunk {
	struct pool_chunk *before;
	size_t size;
};

_Static_assert(sizeof(struct pool_chunk) % ALIGNMENT == 0, "the memory after a chunk's head is aligned");

static size_t rounded(size_t size, size_t to)
{
	return (size + to - 1) / to * to;
}

void *pool_take(struct pool *pool, size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	size = rounded(size, ALIGNMENT);
	if (!pool->last || size > pool->left) {
		size_t whole = rounded(size + sizeof(struct pool_chunk), CHUNK_SIZE);
		struct pool_chunk *chunk = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
						0);

		if (chunk == MAP_FAILED)
			return NULL;
		*chunk = (struct pool_chunk){.before = pool->last, .size = whole};
		pool->last = chunk;
		pool->left = whole - sizeof(*chunk);
	}
	pool->left -= size;
	return (char *)pool->last + pool->last->size - pool->left - size;
}

char *pool_copy(struct pool *pool, const char *string)
{
	size_t size = strlen(string) + 1;
	char *copy = pool_take(pool, size);

	return copy ? memcpy(copy, string, size) : NULL;
}

void pool_free(struct pool *pool)
{
	while (pool->last) {
		struct pool_chunk *chunk = pool->last;

		pool->last = chunk->before;
		munmap(chunk, chunk->size);
	}
	pool->left = 0;
}
