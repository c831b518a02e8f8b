/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot plan as a pure state machine: nodes (stages and services), what they need, deadlines, retries, backoff,
 * held, and the order of stopping. It starts nothing itself: inputs go in with the time they happened, actions come
 * out of a bounded queue, and PID 1 performs them. So the whole of it is tested without a process.
 */
#ifndef INIT_PLAN_PLAN_H
#define INIT_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/plan.h>

#include "graph.h"
#include "init/lib/config.h"
#include "init/lib/exit.h"

#define PLAN_STAGE_GRACE_MS 2000	/* of a stage, between SIGTERM and SIGKILL */

enum plan_action_kind {
	PLAN_START,	/* start a process for node */
	PLAN_SIGNAL,	/* send `signal` to the node's process (a service's SIGKILL means its whole cgroup) */
	PLAN_CHANGED,	/* node's state changed: tell it */
	PLAN_BOOT,	/* the boot's state changed: tell it */
	PLAN_HELD_OVER,	/* the configured action of a held boot is due */
	PLAN_DOWN,	/* a shutdown has ended every node */
};

struct plan_action {
	enum plan_action_kind kind;
	uint16_t node;
	int signal;
	enum node_state state;		/* PLAN_CHANGED: the new one; the node may have moved on since */
};

/* Why a service that is stopping ends, when nobody asked for it. */
enum plan_ending {
	ENDING_ASKED,
	ENDING_FAILED,		/* its watchdog found it dead */
	ENDING_ITSELF,		/* it said so */
};

struct plan_node {
	const struct config_node *config;
	enum node_state state;
	char reason[NODE_REASON_MAX];	/* why it is in this state, or its last result */
	unsigned attempts;		/* starts since the last success or manual start */
	unsigned starts;		/* starts in all */
	int64_t started_ns, first_started_ns, ended_ns, next_ns;
	int64_t launched_ns;		/* service: its program was executed; 0: not yet */
	int64_t kill_ns;		/* when to send SIGKILL after a stop or a passed deadline; 0: not */
	int64_t killed_ns;		/* during a shutdown: when SIGKILL was sent; 0: not yet */
	bool process;			/* a process exists, or is about to */
	bool overdue;			/* killed because of its deadline */
	bool restart;			/* start again once stopped */
	bool follows;			/* stopping, because what it needs does */
	bool told;			/* stopping: it was asked to end; before, its followers are */
	bool disable;			/* disabled, not stopped, once it has ended */
	enum {SWITCH_NONE, SWITCH_ON, SWITCH_OFF} switched;	/* by plan_enable() */
	enum plan_ending ending;
	int64_t alive_ns;		/* when it last said that it is alive, or became ready */
	int64_t burst_ns;		/* when the restarts that are counted began */
	unsigned restarts;		/* since then */
	bool down;			/* during a shutdown: ended, with all that depends on it */
	unsigned up;			/* during a shutdown: how many nodes that depend on it are not down */
	bool starts_later;		/* is among the plan's starters */
	bool seen;			/* by the walk that pulls in what a start needs */
};

struct plan {
	const struct config *config;
	struct plan_node *nodes;
	size_t n_nodes;
	struct plan_graph graph;
	uint16_t *starters;		/* a ring: what starts once nothing is marked any more */
	size_t starters_head, n_starters;
	uint64_t random;		/* for jitter: seeded by plan_seed() */
	size_t n_bad, n_open;		/* required nodes that failed or are blocked; that are not at an end */
	bool unjudged;			/* one of those has changed */
	size_t n_down;
	enum boot_state state;
	bool held_once;			/* stages of `when: held` may run */
	bool broken;			/* there is no plan (bad configuration): held, whatever the nodes say */
	bool hurry;			/* second shutdown request, or its deadline is near */
	int64_t hurry_grace_ns;		/* the most that is left to anyone then */
	char reason[NODE_REASON_MAX];	/* why held */
	int64_t ended_ns;		/* first time booted or held */
	int64_t held_due_ns;		/* when the held action is due; 0: not */
	struct plan_action *queue;
	size_t head, count, capacity;
};

/* Allocates for the configuration's nodes; config must outlive the plan. 0 or -ENOMEM. */
int plan_init(struct plan *plan, const struct config *config);
void plan_deinit(struct plan *plan);

/* All that is random comes from this number; without it, from 0. */
void plan_seed(struct plan *plan, uint64_t seed);

/* The node with this name: 0 or -ENOENT. */
int plan_find(const struct plan *plan, const char *name, size_t *ret);

/* Moves on everything that can move at `now`: call after inputs and when plan_next_ns() has come. */
void plan_step(struct plan *plan, int64_t now);

/* Takes one action from the queue. */
bool plan_next(struct plan *plan, struct plan_action *ret);

/* When plan_step() has something to do although no input comes; 0: never. */
int64_t plan_due_ns(const struct plan *plan);

/* Inputs. */
void plan_ended(struct plan *plan, size_t node, const struct process_exit *how, int64_t now);
void plan_ready(struct plan *plan, size_t node, int64_t now);
/* The service said that it is alive (WATCHDOG=1). */
void plan_alive(struct plan *plan, size_t node, int64_t now);
/* It appeared ready, but what had to be done then failed: it is stopped, and that counts as its failure. */
void plan_unready(struct plan *plan, size_t node, const char *why, int64_t now);
/* The service is there but does not work: it is stopped, and that counts as its failure. */
void plan_unhealthy(struct plan *plan, size_t node, const char *why, int64_t now);
/* The service said that it ends by itself (STOPPING=1); it has its grace for that. */
void plan_stopping(struct plan *plan, size_t node, int64_t now);
/* The program was executed. From here a service has its ready_deadline_s, if preparing it has a deadline of its own. */
void plan_launched(struct plan *plan, size_t node, int64_t now);
/* PID 1 had no process or descriptor to give: tried again soon, and not counted as the node's failure. */
void plan_not_started(struct plan *plan, size_t node, const char *why, int64_t now);
/*
 * 0, -EINVAL, -EALREADY, -ESHUTDOWN as in boot.h. A start also starts what the node needs and wants, if that was
 * stopped or is disabled; a stop first stops what follows the node.
 */
int plan_start(struct plan *plan, size_t node, int64_t now);
int plan_stop(struct plan *plan, size_t node, bool again, int64_t now);
/*
 * The configuration says whether a service (enabled_if) is to run; only a change of that does anything. What was
 * stopped by hand stays stopped, what was started by hand though it is off runs until it is switched on and off again.
 */
void plan_enable(struct plan *plan, size_t node, bool on, const char *why);
void plan_shutdown(struct plan *plan, int64_t now);
/* What is still there, or is told to stop from now on, gets SIGKILL after grace_ns at the latest. */
void plan_hurry(struct plan *plan, int64_t grace_ns, int64_t now);

/* A container whose image may still be on its way. */
bool plan_preparing(const struct plan_node *node);

/* How a node's process ended, in one line, with its own reason where it gave one; init/plan/text.c. */
void plan_describe(const struct plan_node *node, const struct process_exit *how, char *text, size_t size);
const char *node_state_name(enum node_state state);
const char *boot_state_name(enum boot_state state);

#endif
