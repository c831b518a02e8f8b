/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements starts.h. */
#include <errno.h>
#include <stdlib.h>

#include "starts.h"

int starts_init(struct starts *starts, size_t n)
{
	starts->capacity = n ? n : 1;
	starts->nodes = calloc(starts->capacity, sizeof(*starts->nodes));
	starts->waits = calloc(starts->capacity, sizeof(*starts->waits));
	return starts->nodes && starts->waits ? 0 : -ENOMEM;
}

static uint16_t *at(struct starts *starts, size_t i)
{
	return &starts->nodes[(starts->head + i) % starts->capacity];
}

void starts_add(struct starts *starts, size_t node)
{
	if (starts->waits[node])
		return;
	starts->waits[node] = true;
	*at(starts, starts->count++) = (uint16_t)node;
}

bool starts_next(struct starts *starts, size_t *ret)
{
	if (!starts->count)
		return false;
	*ret = *at(starts, 0);
	starts->waits[*ret] = false;
	starts->head = (starts->head + 1) % starts->capacity;
	starts->count--;
	return true;
}

/* Seldom, so the ring is closed up by hand. */
bool starts_remove(struct starts *starts, size_t node)
{
	size_t to = 0;

	if (!starts->waits[node])
		return false;
	for (size_t i = 0; i < starts->count; i++)
		if (*at(starts, i) != node)
			*at(starts, to++) = *at(starts, i);
	starts->count = to;
	starts->waits[node] = false;
	return true;
}
