/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements graph.h: adjacency in one array, a ring, and a binary heap that knows where each node is in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

/* ---- who waits for whom ----------------------------------------------------------------------------------------- */

static void count_edges(uint32_t *counts, const uint16_t *on, size_t n)
{
	for (size_t i = 0; i < n; i++)
		counts[on[i] + 1]++;
}

static void put_edges(struct plan_graph *graph, uint32_t *at, size_t node, const uint16_t *on, size_t n)
{
	for (size_t i = 0; i < n; i++)
		graph->dependents[at[on[i]]++] = (uint16_t)node;
}

static int reverse(struct plan_graph *graph, const struct config *config)
{
	uint32_t *at = calloc(graph->n + 1, sizeof(*at));

	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < graph->n; i++) {
		const struct config_node *node = &config->nodes[i];

		count_edges(graph->first, node->needs, node->n_needs);
		count_edges(graph->first, node->wants, node->n_wants);
		count_edges(graph->first, node->after, node->n_after);
	}
	for (size_t i = 0; i < graph->n; i++)
		graph->first[i + 1] += graph->first[i];
	memcpy(at, graph->first, (graph->n + 1) * sizeof(*at));
	graph->dependents = calloc((size_t)graph->first[graph->n] + 1, sizeof(*graph->dependents));
	for (size_t i = 0; graph->dependents && i < graph->n; i++) {
		const struct config_node *node = &config->nodes[i];

		put_edges(graph, at, i, node->needs, node->n_needs);
		put_edges(graph, at, i, node->wants, node->n_wants);
		put_edges(graph, at, i, node->after, node->n_after);
	}
	free(at);
	return graph->dependents ? 0 : -ENOMEM;
}

size_t graph_dependents(const struct plan_graph *graph, size_t node, const uint16_t **ret)
{
	*ret = graph->dependents + graph->first[node];
	return graph->first[node + 1] - graph->first[node];
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b, void *with)
{
	const struct config_node *nodes = with;

	return strcmp(nodes[*(const uint16_t *)a].name, nodes[*(const uint16_t *)b].name);
}

int graph_find(const struct plan_graph *graph, const struct config *config, const char *name, size_t *ret)
{
	size_t low = 0, high = graph->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, config->nodes[graph->by_name[middle]].name);

		if (order == 0) {
			*ret = graph->by_name[middle];
			return 0;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -ENOENT;
}

/* ---- what to look at -------------------------------------------------------------------------------------------- */

void graph_mark(struct plan_graph *graph, size_t node)
{
	queue_add(&graph->marked, node);
}

bool graph_next_marked(struct plan_graph *graph, size_t *ret)
{
	return queue_next(&graph->marked, ret);
}

/* ---- when ------------------------------------------------------------------------------------------------------- */

static void place(struct plan_graph *graph, size_t at, uint16_t node)
{
	graph->heap[at] = node;
	graph->heap_at[node] = (uint32_t)at + 1;
}

static void rise(struct plan_graph *graph, size_t at)
{
	uint16_t node = graph->heap[at];

	while (at > 0 && graph->due_ns[graph->heap[(at - 1) / 2]] > graph->due_ns[node]) {
		place(graph, at, graph->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(graph, at, node);
}

static void sink(struct plan_graph *graph, size_t at)
{
	uint16_t node = graph->heap[at];

	for (;;) {
		size_t below = 2 * at + 1;

		if (below + 1 < graph->heap_size &&
		    graph->due_ns[graph->heap[below + 1]] < graph->due_ns[graph->heap[below]])
			below++;
		if (below >= graph->heap_size || graph->due_ns[graph->heap[below]] >= graph->due_ns[node])
			break;
		place(graph, at, graph->heap[below]);
		at = below;
	}
	place(graph, at, node);
}

void graph_set_due(struct plan_graph *graph, size_t node, int64_t due_ns)
{
	size_t at = graph->heap_at[node];

	if (graph->due_ns[node] == due_ns)
		return;
	graph->due_ns[node] = due_ns;
	if (due_ns && !at) {
		at = ++graph->heap_size;
		place(graph, at - 1, (uint16_t)node);
	} else if (!due_ns) {
		uint16_t last = graph->heap[--graph->heap_size];

		graph->heap_at[node] = 0;
		if (last == node)
			return;
		place(graph, at - 1, last);
	}
	/* Whichever stands there now may be too early or too late for its place. */
	rise(graph, at - 1);
	sink(graph, at - 1);
}

int64_t graph_due_ns(const struct plan_graph *graph)
{
	return graph->heap_size ? graph->due_ns[graph->heap[0]] : 0;
}

bool graph_next_due(struct plan_graph *graph, int64_t now, size_t *ret)
{
	if (!graph->heap_size || graph->due_ns[graph->heap[0]] > now)
		return false;
	*ret = graph->heap[0];
	graph_set_due(graph, *ret, 0);
	graph_mark(graph, *ret);
	return true;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

int graph_init(struct plan_graph *graph, const struct config *config)
{
	size_t n = config->n_nodes;
	int r;

	memset(graph, 0, sizeof(*graph));
	graph->n = n;
	graph->first = calloc(n + 1, sizeof(*graph->first));
	graph->by_name = calloc(n + 1, sizeof(*graph->by_name));
	graph->heap = calloc(n + 1, sizeof(*graph->heap));
	graph->heap_at = calloc(n + 1, sizeof(*graph->heap_at));
	graph->due_ns = calloc(n + 1, sizeof(*graph->due_ns));
	if (!graph->first || !graph->by_name || !graph->heap || !graph->heap_at || !graph->due_ns ||
	    queue_init(&graph->marked, n) < 0)
		return -ENOMEM;
	r = reverse(graph, config);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		graph->by_name[i] = (uint16_t)i;
	qsort_r(graph->by_name, n, sizeof(*graph->by_name), by_name, config->nodes);
	return 0;
}

void graph_deinit(struct plan_graph *graph)
{
	free(graph->dependents);
	free(graph->first);
	free(graph->by_name);
	queue_deinit(&graph->marked);
	free(graph->heap);
	free(graph->heap_at);
	free(graph->due_ns);
	memset(graph, 0, sizeof(*graph));
}
