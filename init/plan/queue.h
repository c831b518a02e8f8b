/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A first-in, first-out queue of node indexes, each in it at most once. Bounded by the number of nodes: it never fills. */
#ifndef INIT_PLAN_QUEUE_H
#define INIT_PLAN_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue {
	uint16_t *nodes;	/* a ring */
	bool *queued;		/* by node */
	size_t capacity, head, count;
};

/* Room for each of n nodes once. 0 or -ENOMEM; queue_deinit() is safe either way. */
int queue_init(struct queue *queue, size_t n);
void queue_deinit(struct queue *queue);

/* Appends the node; a node that is queued already keeps its place. */
void queue_add(struct queue *queue, size_t node);

/* Takes the oldest node. False: the queue is empty. */
bool queue_next(struct queue *queue, size_t *ret);

/* Takes this node out, in time proportional to the queue. False: it was not queued. */
bool queue_remove(struct queue *queue, size_t node);

#endif
