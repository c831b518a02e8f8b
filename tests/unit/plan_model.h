/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a plan shall do, said a second time: simple and slow. It knows no marks, no heap, no counters and no reverse
 * edges: it looks at every node again and again until nothing changes, and answers each question from the definition
 * in docs/plan.md and docs/services.md. What is random (jitter) and the stages of a held boot are left out.
 */
#ifndef TESTS_PLAN_MODEL_H
#define TESTS_PLAN_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "init/plan/plan.h"

#define MODEL_NODES    8
#define MODEL_RESTARTS 600

struct model_node {
	const struct config_node *is;
	enum node_state state;
	bool lives;			/* has a process */
	bool late;			/* its deadline has passed */
	bool told, dead, itself, comes_back;
	int failures;			/* in a row */
	int64_t began, became_ready, last_alive, kill, again, ended;
	int64_t restarts[MODEL_RESTARTS];	/* all since the last start by hand */
	int n_restarts;
	unsigned starts;
};

struct model {
	struct model_node nodes[MODEL_NODES];
	int n;
	enum boot_state boot;
	bool stopping;
};

static bool m_service(const struct model_node *x) { return x->is->kind == NODE_SERVICE; }
static bool m_met(const struct model_node *x)
{
	return x->state == NODE_READY || x->state == NODE_DONE || x->state == NODE_SKIPPED;
}
static bool m_lost(const struct model_node *x)
{
	return x->state == NODE_FAILED || x->state == NODE_BLOCKED || x->state == NODE_DISABLED;
}
static bool m_over(const struct model_node *x) { return m_met(x) || m_lost(x) || x->state == NODE_STOPPED; }

static bool m_needs(const struct model_node *x, int other)
{
	for (size_t i = 0; i < x->is->n_needs; i++)
		if (x->is->needs[i] == other)
			return true;
	return false;
}

static bool m_waits(const struct model_node *x, int other)
{
	for (size_t i = 0; i < x->is->n_wants; i++)
		if (x->is->wants[i] == other)
			return true;
	for (size_t i = 0; i < x->is->n_after; i++)
		if (x->is->after[i] == other)
			return true;
	return false;
}

static bool m_wants(const struct model_node *x, int other)
{
	for (size_t i = 0; i < x->is->n_wants; i++)
		if (x->is->wants[i] == other)
			return true;
	return false;
}

static void m_start(struct model_node *x, int64_t now)
{
	x->state = NODE_RUNNING;
	x->lives = true;
	x->late = x->told = x->dead = x->itself = x->comes_back = false;
	x->began = now;
	x->kill = x->became_ready = x->ended = 0;
	x->starts++;
}

static void m_tell(struct model_node *x, int64_t now)
{
	int64_t kill = now + (m_service(x) ? x->is->stop_grace_ms : PLAN_STAGE_GRACE_MS) * 1000000;

	x->told = true;
	if (!x->kill || kill < x->kill)
		x->kill = kill;
}

static int64_t m_deadline(const struct model_node *x)
{
	int64_t ms = m_service(x) ? x->is->ready_deadline_ms : x->is->deadline_ms;

	return ms && x->lives && x->state == NODE_RUNNING && !x->late ? x->began + ms * 1000000 : 0;
}

static int64_t m_silent(const struct model_node *x)
{
	return x->lives && x->state == NODE_READY && x->is->alive_ms ? x->last_alive + x->is->alive_ms * 1000000 : 0;
}

static bool m_bereft(const struct model *m, const struct model_node *x)
{
	for (int i = 0; i < m->n; i++)
		if (x->is->follows_needs && m_needs(x, i) && m_service(&m->nodes[i]) && !m_met(&m->nodes[i]))
			return true;
	return false;
}

static bool m_has_live_followers(const struct model *m, int index)
{
	for (int i = 0; i < m->n; i++)
		if (m->nodes[i].is->follows_needs && m_needs(&m->nodes[i], index) && m->nodes[i].lives)
			return true;
	return false;
}

/* One look at one node; true: it has changed. It starts only if nothing else is left to be done. */
static bool m_look(struct model *m, int index, bool starts, int64_t now)
{
	struct model_node *x = &m->nodes[index];
	bool blocked = false, free = true;

	for (int i = 0; i < m->n; i++) {
		blocked |= m_needs(x, i) && m_lost(&m->nodes[i]);
		free &= !m_needs(x, i) || m_met(&m->nodes[i]);
		free &= !m_waits(x, i) || m_over(&m->nodes[i]);
	}
	if (x->state == NODE_WAITING && blocked)
		x->state = NODE_BLOCKED;
	else if (x->state == NODE_WAITING && free && starts)
		m_start(x, now);
	else if (x->state == NODE_RETRYING && now >= x->again && m_bereft(m, x))
		x->state = NODE_WAITING;
	else if (x->state == NODE_RETRYING && now >= x->again && starts)
		m_start(x, now);
	else if ((x->state == NODE_RUNNING || x->state == NODE_READY) && m_bereft(m, x))
		x->state = NODE_STOPPING, x->comes_back = true;
	else if (x->state == NODE_STOPPING && !x->told && !m_has_live_followers(m, index))
		m_tell(x, now);
	else
		return false;
	return true;
}

static void m_judge(struct model *m)
{
	bool bad = false, complete = true;

	for (int i = 0; i < m->n; i++) {
		const struct model_node *x = &m->nodes[i];

		bad |= x->is->required && (x->state == NODE_FAILED || x->state == NODE_BLOCKED);
		complete &= !x->is->required || m_over(x);
	}
	if (bad)
		m->boot = BOOT_HELD;
	else if (complete)
		m->boot = BOOT_BOOTED;
	else if (m->boot == BOOT_HELD)
		m->boot = BOOT_BOOTING;
}

static void m_step(struct model *m, int64_t now)
{
	bool changed = true;

	for (int i = 0; i < m->n; i++) {
		struct model_node *x = &m->nodes[i];

		if (x->lives && x->kill && now >= x->kill)
			x->kill = 0;
		if (m_deadline(x) && now >= m_deadline(x)) {
			x->late = true;
			m_tell(x, now);
		}
		if (m_silent(x) && now >= m_silent(x)) {
			x->state = NODE_STOPPING;
			x->dead = true;
			x->comes_back = false;
			m_tell(x, now);
		}
	}
	while (changed) {
		changed = false;
		for (int i = m->n; i-- > 0;)
			changed |= m_look(m, i, false, now);
		for (int i = m->n; !changed && i-- > 0;)
			changed |= m_look(m, i, true, now);
	}
	m_judge(m);
}

/* When something happens by itself; 0: never. */
static int64_t m_due(const struct model *m)
{
	int64_t due = 0;

	for (int i = 0; i < m->n; i++) {
		const struct model_node *x = &m->nodes[i];
		int64_t times[] = {x->lives ? x->kill : 0, m_deadline(x), m_silent(x),
				   x->state == NODE_RETRYING ? x->again : 0};

		for (int k = 0; k < 4; k++)
			if (times[k] && (!due || times[k] < due))
				due = times[k];
	}
	return due;
}

/* How many restarts are in the latest window: windows follow each other from the first restart on. */
static unsigned m_in_window(const struct model_node *x)
{
	int64_t from = 0;
	unsigned n = 0;

	for (int i = 0; i < x->n_restarts; i++) {
		if (!n || x->restarts[i] - from >= x->is->burst_ms * 1000000) {
			from = x->restarts[i];
			n = 0;
		}
		n++;
	}
	return n;
}

static void m_failed(struct model_node *x, int64_t now)
{
	int64_t wait = x->is->retry_min_ms;
	bool often = false;

	if (x->is->burst) {
		x->restarts[x->n_restarts++] = now;
		often = m_in_window(x) > x->is->burst;
	}
	if ((x->is->retry_limit && x->failures >= (int)x->is->retry_limit) || (often && x->is->burst_fails)) {
		x->state = NODE_FAILED;
		return;
	}
	for (int i = 1; i < x->failures; i++)
		wait = wait * 2 > x->is->retry_max_ms ? x->is->retry_max_ms : wait * 2;
	x->again = now + (often ? x->is->retry_max_ms : wait) * 1000000;
	x->state = NODE_RETRYING;
}

static void m_exit(struct model *m, int index, int status, bool skipped, int64_t now)
{
	struct model_node *x = &m->nodes[index];
	bool was_ready = x->became_ready != 0, asked = x->state == NODE_STOPPING && !x->dead && !x->itself;
	bool well = status == 0 && !x->late && !x->dead;

	x->lives = false;
	x->kill = 0;
	x->failures++;
	if (asked || (x->state == NODE_STOPPING && x->comes_back)) {
		x->state = x->comes_back ? NODE_WAITING : NODE_STOPPED;
		x->failures = 0;
	} else if (!m_service(x)) {
		if (well)
			x->state = skipped ? NODE_SKIPPED : NODE_DONE;
		else if (status == STAGE_NEVER && !x->late)
			x->state = NODE_FAILED;
		else
			m_failed(x, now);
	} else {
		well = well && (was_ready || x->is->ready == READY_STARTED || x->is->ready == READY_EXIT);
		if (was_ready && now - x->became_ready >= x->is->stable_ms * 1000000)
			x->failures = 1;
		if (status == STAGE_NEVER && !x->late && !x->dead)
			x->state = NODE_FAILED;
		else if (x->is->restart == RESTART_NEVER)
			x->state = well ? NODE_DONE : NODE_FAILED;
		else if (well && (x->is->ready == READY_EXIT || x->is->restart == RESTART_ON_FAILURE))
			x->state = NODE_DONE;
		else
			m_failed(x, now);
	}
}

static void m_ready(struct model *m, int index, int64_t now)
{
	struct model_node *x = &m->nodes[index];

	if (!m_service(x) || x->state != NODE_RUNNING || x->late)
		return;
	x->state = NODE_READY;
	x->became_ready = x->last_alive = now;
}

static void m_fresh(struct model *m, int index)
{
	bool hope[MODEL_NODES] = {false};

	m->nodes[index].failures = 0;
	m->nodes[index].state = NODE_WAITING;
	hope[index] = true;
	/* Who was blocked and needs somebody who may hope again may hope, too. */
	for (int round = 0; round < m->n; round++) {
		for (int i = 0; i < m->n; i++) {
			for (int k = 0; k < m->n; k++) {
				if (m->nodes[i].state != NODE_BLOCKED || !m_needs(&m->nodes[i], k) || !hope[k])
					continue;
				m->nodes[i].state = NODE_WAITING;
				hope[i] = true;
			}
		}
	}
}

/* All that a start of this node pulls in: everything that can be reached by needs and wants. */
static void m_pull(struct model *m, int index)
{
	bool reached[MODEL_NODES] = {false};

	reached[index] = true;
	for (int round = 0; round < m->n; round++)
		for (int i = 0; i < m->n; i++)
			for (int k = 0; k < m->n; k++)
				reached[k] |= reached[i] && (m_needs(&m->nodes[i], k) || m_wants(&m->nodes[i], k));
	for (int i = 0; i < m->n; i++) {
		struct model_node *x = &m->nodes[i];

		if (!reached[i] || i == index)
			continue;
		if (x->state == NODE_STOPPING && !x->dead && !x->itself)
			x->comes_back = true;
		else if (x->state == NODE_STOPPED || x->state == NODE_DISABLED)
			m_fresh(m, i);
	}
}

static void m_by_hand(struct model *m, int index, int64_t now)
{
	struct model_node *x = &m->nodes[index];

	if (x->lives && !(x->state == NODE_STOPPING && m_service(x)))
		return;
	if (!m_service(x) && x->state == NODE_WAITING)
		return;
	m_pull(m, index);
	if (x->lives) {
		x->comes_back = true;
		return;
	}
	x->failures = 0;
	x->n_restarts = 0;
	if (x->state == NODE_RETRYING)
		x->again = now;
	else
		m_fresh(m, index);
}

static void m_stop(struct model *m, int index, bool again, int64_t now)
{
	struct model_node *x = &m->nodes[index];

	if (!m_service(x))
		return;
	if (!x->lives && again) {
		m_by_hand(m, index, now);
	} else if (!x->lives) {
		if (x->state != NODE_DISABLED)
			x->state = NODE_STOPPED;
	} else {
		x->comes_back = again;
		x->dead = x->itself = false;
		x->state = NODE_STOPPING;
	}
}

static void m_unhealthy(struct model *m, int index, int64_t now)
{
	struct model_node *x = &m->nodes[index];

	if (x->state != NODE_READY)
		return;
	x->state = NODE_STOPPING;
	x->dead = true;
	x->comes_back = false;
	m_tell(x, now);
}

static void m_stopping(struct model *m, int index, int64_t now)
{
	struct model_node *x = &m->nodes[index];

	if (x->state != NODE_READY)
		return;
	x->state = NODE_STOPPING;
	x->itself = true;
	x->comes_back = false;
	m_tell(x, now);
}

static void m_begin(struct model *m, const struct config *config)
{
	bool on[MODEL_NODES];

	memset(m, 0, sizeof(*m));
	m->n = (int)config->n_nodes;
	for (int i = 0; i < m->n; i++) {
		m->nodes[i].is = &config->nodes[i];
		on[i] = config->nodes[i].kind == NODE_STAGE || config->nodes[i].enabled;
	}
	for (int round = 0; round < m->n; round++)
		for (int i = 0; i < m->n; i++)
			for (int k = 0; k < m->n; k++)
				on[k] |= on[i] && (m_needs(&m->nodes[i], k) || m_wants(&m->nodes[i], k));
	for (int i = 0; i < m->n; i++)
		m->nodes[i].state = on[i] ? NODE_WAITING : NODE_DISABLED;
}

#endif
