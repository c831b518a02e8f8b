/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that is allocated piece by piece and freed as a whole. A pool starts zeroed. */
#ifndef INIT_LIB_POOL_H
#define INIT_LIB_POOL_H

#include <stddef.h>

struct pool {
	struct pool_chunk *last;
	size_t left;		/* bytes, of the last chunk */
};

/* Allocates `size` bytes, zeroed and aligned for pointers and numbers; NULL: no memory. */
void *pool_take(struct pool *pool, size_t size);

/* A copy, or NULL. */
char *pool_copy(struct pool *pool, const char *string);

/* Frees everything allocated from it. */
void pool_free(struct pool *pool);

#endif
