/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A million random steps of the plan beside a model that was written from the documentation, not from the code: after
 * each, both say the same of every node. GANTRY_SEED repeats a walk, GANTRY_STEPS makes it longer or shorter.
 */
/* links: plan init/lib */
#include <stdio.h>
#include <stdlib.h>

#include "test.h"
#include "plan_model.h"

#define MS_NS 1000000LL
#define EPISODE 250	/* steps with one configuration */

struct walk {
	struct config config;
	struct config_node nodes[MODEL_NODES];
	char names[MODEL_NODES][4];
	struct plan plan;
	struct model model;
	int64_t now;
	uint64_t random;
	bool exact;		/* no keep-alives: then both know when they have something to do */
	char last[80];		/* what was done last */
};

static unsigned dice(struct walk *w, unsigned sides)
{
	w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(w->random >> 33) % sides;
}

/* Each list has names of earlier nodes alone, so there is no circle, and each once. */
static void some(struct walk *w, unsigned before, uint16_t *list, size_t *n, unsigned one_in)
{
	for (unsigned k = 0; k < before; k++)
		if (dice(w, one_in) == 0)
			list[(*n)++] = (uint16_t)k;
}

static void configure(struct walk *w)
{
	memset(&w->config, 0, sizeof(w->config));
	memset(w->nodes, 0, sizeof(w->nodes));
	w->config.nodes = w->nodes;
	w->config.n_nodes = 1 + dice(w, MODEL_NODES);
	w->exact = true;
	for (unsigned i = 0; i < w->config.n_nodes; i++) {
		struct config_node *node = &w->nodes[i];

		snprintf(w->names[i], sizeof(w->names[i]), "n%u", i);
		node->name = w->names[i];
		node->kind = dice(w, 4) ? NODE_SERVICE : NODE_STAGE;
		node->required = dice(w, 3);
		node->enabled = node->kind == NODE_STAGE || dice(w, 5);
		some(w, i, node->needs, &node->n_needs, 3);
		some(w, i, node->after, &node->n_after, 8);
		node->retry_min_ms = 1 + dice(w, 2000);
		node->retry_max_ms = node->retry_min_ms * (1 + dice(w, 8));
		node->deadline_ms = node->ready_deadline_ms = dice(w, 3) ? 0 : 1 + dice(w, 9000);
		node->retry_limit = node->kind == NODE_STAGE ? dice(w, 4) : 0;
		if (node->kind == NODE_STAGE)
			continue;
		some(w, i, node->wants, &node->n_wants, 5);
		node->follows_needs = dice(w, 2);
		node->ready = dice(w, 3) ? READY_NOTIFY : dice(w, 2) ? READY_EXIT : READY_STARTED;
		node->restart = (enum restart_policy)dice(w, 3);
		node->stable_ms = dice(w, 5000);
		node->burst = dice(w, 5);
		node->burst_ms = 1000 + dice(w, 20000);
		node->burst_fails = dice(w, 2);
		node->stop_signal = 15;
		node->stop_grace_ms = 1 + dice(w, 4000);
		node->alive_ms = dice(w, 4) ? 0 : 500 + dice(w, 4000);
		w->exact &= !node->alive_ms;
	}
	/* A disabled node is started when an enabled one needs it, as the check of boot.json sees to in another way. */
}

static const char *compare(const struct walk *w, char *text, size_t size)
{
	int64_t due = plan_due_ns(&w->plan), model_due = m_due(&w->model);

	for (size_t i = 0; i < w->plan.n_nodes; i++) {
		const struct plan_node *node = &w->plan.nodes[i];
		const struct model_node *x = &w->model.nodes[i];

		if (node->state == x->state && node->process == x->lives && node->starts == x->starts &&
		    (!node->process || node->kill_ns == x->kill) &&
		    (node->state != NODE_RETRYING || node->next_ns == x->again))
			continue;
		snprintf(text, size, "node %zu is %s (%u starts, next %lld, kill %lld), the model says %s "
			 "(%u starts, next %lld, kill %lld)", i, node_state_name(node->state), node->starts,
			 (long long)node->next_ns, (long long)node->kill_ns, node_state_name(x->state), x->starts,
			 (long long)x->again, (long long)x->kill);
		return text;
	}
	if (w->plan.state != w->model.boot)
		snprintf(text, size, "the boot is %s, the model says %s", boot_state_name(w->plan.state),
			 boot_state_name(w->model.boot));
	else if (w->exact ? due != model_due : (due == 0) != (model_due == 0) || due > model_due)
		snprintf(text, size, "due at %lld, the model says %lld", (long long)due, (long long)model_due);
	else
		return NULL;
	return text;
}

static void note(struct walk *w, const char *what, size_t node)
{
	snprintf(w->last, sizeof(w->last), "%s %zu at %lld ms", what, node, (long long)(w->now / MS_NS));
}

static void one_exit(struct walk *w, size_t i)
{
	static const int statuses[] = {0, 0, 0, 1, 1, STAGE_AGAIN, STAGE_NEVER, -1};
	struct process_exit how = {.status = statuses[dice(w, 8)], .signal = 9, .skipped = dice(w, 2)};

	note(w, how.status ? "bad exit of" : "good exit of", i);
	plan_ended(&w->plan, i, &how, w->now);
	m_exit(&w->model, (int)i, how.status, how.skipped, w->now);
}

static void one_input(struct walk *w)
{
	size_t i = dice(w, (unsigned)w->plan.n_nodes);
	unsigned what = dice(w, 16);

	/* Most of the time a process that is there does something. */
	if (what < 5 && w->plan.nodes[i].process) {
		one_exit(w, i);
	} else if (what < 8) {
		note(w, "ready", i);
		plan_ready(&w->plan, i, w->now);
		m_ready(&w->model, (int)i, w->now);
	} else if (what == 8) {
		note(w, "alive", i);
		plan_alive(&w->plan, i, w->now);
		w->model.nodes[i].last_alive = w->now;
	} else if (what == 9) {
		note(w, "unhealthy", i);
		plan_unhealthy(&w->plan, i, "ill", w->now);
		m_unhealthy(&w->model, (int)i, w->now);
	} else if (what == 10) {
		note(w, "stopping", i);
		plan_stopping(&w->plan, i, w->now);
		m_stopping(&w->model, (int)i, w->now);
	} else if (what == 11 || what == 12) {
		note(w, "start", i);
		plan_start(&w->plan, i, w->now);
		m_by_hand(&w->model, (int)i, w->now);
	} else if (what == 13) {
		bool again = dice(w, 2);

		note(w, again ? "restart" : "stop", i);
		plan_stop(&w->plan, i, again, w->now);
		m_stop(&w->model, (int)i, again, w->now);
	} else {
		note(w, "nothing", i);
	}
}

/* Time passes: not at all, to when something is due, or anyhow. */
static void pass_time(struct walk *w)
{
	int64_t due = plan_due_ns(&w->plan);

	switch (dice(w, 4)) {
	case 0:
		break;
	case 1:
		w->now = due > w->now ? due : w->now;
		break;
	default:
		w->now += (int64_t)dice(w, 1500) * MS_NS;
	}
}

static void drain(struct walk *w)
{
	struct plan_action action;

	plan_step(&w->plan, w->now);
	while (plan_next(&w->plan, &action))
		;
}

/* Everything ends, and nothing has been started before it should. */
static bool shuts_down(struct walk *w)
{
	struct plan_action action;
	bool down = false;

	plan_shutdown(&w->plan, w->now);
	for (size_t round = 0; round <= w->plan.n_nodes && !down; round++) {
		plan_step(&w->plan, w->now);
		while (plan_next(&w->plan, &action)) {
			down |= action.kind == PLAN_DOWN;
			if (action.kind == PLAN_START)
				return false;
		}
		for (size_t i = 0; i < w->plan.n_nodes; i++)
			if (w->plan.nodes[i].process && w->plan.nodes[i].state == NODE_STOPPING)
				plan_ended(&w->plan, i, &(struct process_exit){.status = 0}, w->now);
	}
	return down;
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value && *value ? strtoul(value, NULL, 0) : otherwise;
}

TEST(a_million_random_steps_agree_with_the_model)
{
	unsigned long seed = number("GANTRY_SEED", 20261126), steps = number("GANTRY_STEPS", 1000000), step = 0;
	struct walk *w = calloc(1, sizeof(*w));
	char text[300], message[600];

	printf("GANTRY_SEED=%lu\n", seed);
	w->random = seed;
	while (step < steps) {
		const char *differs;

		configure(w);
		w->now = 1000 * MS_NS;
		CHECK_INT(plan_init(&w->plan, &w->config), 0);
		m_begin(&w->model, &w->config);
		snprintf(w->last, sizeof(w->last), "the beginning");
		for (int i = 0; i < EPISODE; i++, step++) {
			drain(w);
			m_step(&w->model, w->now);
			differs = compare(w, text, sizeof(text));
			if (differs) {
				snprintf(message, sizeof(message), "GANTRY_SEED=%lu step %lu after %s: %s", seed, step,
					 w->last, differs);
				CHECK_STR(message, "");
			}
			pass_time(w);
			one_input(w);
		}
		CHECK(shuts_down(w));
		plan_deinit(&w->plan);
	}
	free(w);
}
