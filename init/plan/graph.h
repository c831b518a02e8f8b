/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The indexes that let a step of the plan cost as much as has changed, not as much as exists: the dependents of each
 * node, the marked nodes, and a heap of due times. All of it is allocated once.
 */
#ifndef INIT_PLAN_GRAPH_H
#define INIT_PLAN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/config.h"
#include "queue.h"

struct plan_graph {
	size_t n;
	uint16_t *dependents;	/* those of node 0, then those of node 1 ... */
	uint32_t *first;	/* index in dependents where those of a node begin; n + 1 of them */
	uint16_t *by_name;	/* sorted */
	struct queue marked;	/* nodes to look at again */
	uint16_t *heap;		/* nodes, the one that is due first on top */
	size_t heap_size;
	uint32_t *heap_at;	/* a node's place in the heap, plus one; 0: not in it */
	int64_t *due_ns;
};

/* 0 or -ENOMEM; graph_deinit() is safe either way. */
int graph_init(struct plan_graph *graph, const struct config *config);
void graph_deinit(struct plan_graph *graph);

/* The nodes that name this one in needs, wants or after, and their number; one that names it twice is in twice. */
size_t graph_dependents(const struct plan_graph *graph, size_t node, const uint16_t **ret);

/* The node with this name: 0 or -ENOENT. */
int graph_find(const struct plan_graph *graph, const struct config *config, const char *name, size_t *ret);

/* Marks a node: the step looks at it. A marked node keeps its place in the queue. */
void graph_mark(struct plan_graph *graph, size_t node);
bool graph_next_marked(struct plan_graph *graph, size_t *ret);

/* Sets when the node is due; 0: never. */
void graph_set_due(struct plan_graph *graph, size_t node, int64_t due_ns);
/* The earliest due time; 0: none. */
int64_t graph_due_ns(const struct plan_graph *graph);
/* Takes one node that is due at `now`, marks it and clears its due time. False: none is due. */
bool graph_next_due(struct plan_graph *graph, int64_t now, size_t *ret);

#endif
