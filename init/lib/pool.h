/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that is taken piece by piece and given back as a whole. A pool begins zeroed. */
#ifndef INIT_LIB_POOL_H
#define INIT_LIB_POOL_H

#include <stddef.h>

struct pool {
	struct pool_chunk *last;
	size_t left;		/* bytes, of the last chunk */
};

/* So many bytes, zeroed and aligned for pointers and numbers; NULL: no memory. */
void *pool_take(struct pool *pool, size_t size);

/* A copy, or NULL. */
char *pool_copy(struct pool *pool, const char *string);

/* All that was taken from it is gone. */
void pool_free(struct pool *pool);

#endif
