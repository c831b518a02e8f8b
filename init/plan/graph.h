/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What makes a step of the plan cost what changed and not what exists: who waits for whom the other way round, the
 * nodes that have to be looked at again, and when each has something to do by itself. All of it is allocated once.
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
	uint16_t *dependents;	/* of all nodes, one after the other */
	uint32_t *first;	/* where those of each node begin; one more than nodes */
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

/* How many needs, wants or afters lead to the node, and from where; one that names it twice is there twice. */
size_t graph_dependents(const struct plan_graph *graph, size_t node, const uint16_t **ret);

/* The node with this name: 0 or -ENOENT. */
int graph_find(const struct plan_graph *graph, const struct config *config, const char *name, size_t *ret);

/* To be looked at again; a node that is marked already stays where it is in the row. */
void graph_mark(struct plan_graph *graph, size_t node);
bool graph_next_marked(struct plan_graph *graph, size_t *ret);

/* When the node has something to do by itself; 0: not at all. */
void graph_set_due(struct plan_graph *graph, size_t node, int64_t due_ns);
/* The soonest of all; 0: none. */
int64_t graph_due_ns(const struct plan_graph *graph);
/* One node that is due at `now`: it is marked, and when it was is forgotten. False: there is none any more. */
bool graph_next_due(struct plan_graph *graph, int64_t now, size_t *ret);

#endif
