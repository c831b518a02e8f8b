/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan with a clock of the test's own and no process: actions are noted instead of performed. */
#ifndef TESTS_PLAN_FIXTURE_H
#define TESTS_PLAN_FIXTURE_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "init/plan/plan.h"
#include "test.h"

#define S 1000000000LL
#define NODES 8

struct fixture {
	struct config config;
	struct config_node nodes[NODES];
	struct plan plan;
	int64_t now;
	unsigned started[NODES];
	int last_signal[NODES];
	bool held_over, down;
};

UNUSED static struct config_node *add(struct fixture *f, const char *name, enum node_kind kind)
{
	struct config_node *node = &f->nodes[f->config.n_nodes++];

	memset(node, 0, sizeof(*node));
	node->name = (char *)name;
	node->kind = kind;
	node->required = true;
	node->enabled = true;
	node->retry_min_ms = 1000;
	node->retry_max_ms = 8000;
	node->retry_limit = kind == NODE_STAGE ? 3 : 0;
	node->stop_signal = SIGTERM;
	node->stop_grace_ms = 5000;
	node->deadline_ms = 10000;
	node->ready_deadline_ms = 10000;
	node->stable_ms = 10000;
	return node;
}

UNUSED static void needs(struct config_node *node, size_t on)
{
	node->needs[node->n_needs++] = (uint16_t)on;
}

UNUSED static struct fixture *make(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->config.nodes = f->nodes;
	f->now = S;
	return f;
}

UNUSED static void needs_are_met(const struct fixture *f, size_t index)
{
	const struct config_node *node = &f->nodes[index];

	for (size_t i = 0; i < node->n_needs; i++) {
		enum node_state need = f->plan.nodes[node->needs[i]].state;

		CHECK(need == NODE_DONE || need == NODE_SKIPPED || need == NODE_READY);
	}
}

/* One turn of PID 1's loop, with the actions noted instead of performed. */
UNUSED static void turn(struct fixture *f)
{
	struct plan_action action;

	plan_step(&f->plan, f->now);
	while (plan_next(&f->plan, &action)) {
		if (action.kind == PLAN_START) {
			f->started[action.node]++;
			if (f->plan.nodes[action.node].starts == 1)
				needs_are_met(f, action.node);
		} else if (action.kind == PLAN_SIGNAL) {
			f->last_signal[action.node] = action.signal;
		} else if (action.kind == PLAN_HELD_OVER) {
			f->held_over = true;
		} else if (action.kind == PLAN_DOWN) {
			f->down = true;
		}
	}
}

UNUSED static void begin(struct fixture *f)
{
	CHECK_INT(plan_init(&f->plan, &f->config), 0);
	turn(f);
}

UNUSED static void finish(struct fixture *f)
{
	plan_deinit(&f->plan);
	free(f);
}

UNUSED static void ends(struct fixture *f, size_t node, int status)
{
	struct process_exit how = {.status = status};

	plan_ended(&f->plan, node, &how, f->now);
	turn(f);
}

UNUSED static void ready(struct fixture *f, size_t node)
{
	plan_ready(&f->plan, node, f->now);
	turn(f);
}

UNUSED static enum node_state state(const struct fixture *f, size_t node)
{
	return f->plan.nodes[node].state;
}

UNUSED static void wait_until_due(struct fixture *f)
{
	int64_t due = plan_due_ns(&f->plan);

	CHECK(due > f->now);
	f->now = due;
	turn(f);
}

UNUSED static struct config_node *service(struct fixture *f, const char *name)
{
	return add(f, name, NODE_SERVICE);
}

UNUSED static struct config_node *follower(struct fixture *f, const char *name, size_t on)
{
	struct config_node *node = service(f, name);

	needs(node, on);
	node->follows_needs = true;
	return node;
}

UNUSED static void wants(struct config_node *node, size_t on)
{
	node->wants[node->n_wants++] = (uint16_t)on;
}

UNUSED static void manual(struct fixture *f, size_t node, bool start)
{
	CHECK_INT(start ? plan_start(&f->plan, node, f->now) : plan_stop(&f->plan, node, false, f->now), 0);
	turn(f);
}

#endif
