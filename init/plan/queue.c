/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements queue.h: a ring, and a flag a node that says whether it is in it. */
#include <errno.h>
#include <stdlib.h>

#include "queue.h"

int queue_init(struct queue *queue, size_t n)
{
	*queue = (struct queue){.capacity = n ? n : 1};
	queue->nodes = calloc(queue->capacity, sizeof(*queue->nodes));
	queue->queued = calloc(queue->capacity, sizeof(*queue->queued));
	return queue->nodes && queue->queued ? 0 : -ENOMEM;
}

void queue_deinit(struct queue *queue)
{
	free(queue->nodes);
	free(queue->queued);
	*queue = (struct queue){0};
}

static uint16_t *at(struct queue *queue, size_t i)
{
	return &queue->nodes[(queue->head + i) % queue->capacity];
}

void queue_add(struct queue *queue, size_t node)
{
	if (queue->queued[node])
		return;
	queue->queued[node] = true;
	*at(queue, queue->count++) = (uint16_t)node;
}

bool queue_next(struct queue *queue, size_t *ret)
{
	if (!queue->count)
		return false;
	*ret = *at(queue, 0);
	queue->queued[*ret] = false;
	queue->head = (queue->head + 1) % queue->capacity;
	queue->count--;
	return true;
}

/* Rare enough that the ring need not be linked: the nodes behind it move up. */
bool queue_remove(struct queue *queue, size_t node)
{
	size_t to = 0;

	if (!queue->queued[node])
		return false;
	for (size_t i = 0; i < queue->count; i++)
		if (*at(queue, i) != node)
			*at(queue, to++) = *at(queue, i);
	queue->count = to;
	queue->queued[node] = false;
	return true;
}
