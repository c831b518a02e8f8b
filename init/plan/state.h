/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of the boot plan and of its nodes, and the actions that come out of it. plan.h has the functions. */
#ifndef INIT_PLAN_STATE_H
#define INIT_PLAN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/plan.h>

#include "graph.h"
#include "init/lib/config.h"
#include "init/lib/exit.h"
#include "queue.h"

#define PLAN_STAGE_GRACE_MS 2000	/* of a stage, between SIGTERM and SIGKILL */

enum plan_action_kind {
	PLAN_START,	/* start a process for node */
	PLAN_SIGNAL,	/* send `signal` to the node's process (a service's SIGKILL means its whole cgroup) */
	PLAN_CHANGED,	/* node's state changed: report it */
	PLAN_BOOT,	/* the boot's state changed: report it */
	PLAN_HELD_OVER,	/* the configured action of a held boot is due */
	PLAN_DOWN,	/* a shutdown has ended every node */
};

struct plan_action {
	enum plan_action_kind kind;
	uint16_t node;
	int signal;
	enum node_state state;		/* PLAN_CHANGED: the new one; the node may have moved on since */
};

/* Why a service is stopping. */
enum plan_ending {
	ENDING_ASKED,		/* an operator, a shutdown or the plan stops it */
	ENDING_FAILED,		/* its watchdog expired, or its preparation or health check failed */
	ENDING_ITSELF,		/* it reported STOPPING=1 */
};

struct plan_node {
	const struct config_node *config;
	enum node_state state;
	char reason[NODE_REASON_MAX];	/* of this state, or its last result */
	unsigned attempts;		/* starts since the last success or manual start */
	unsigned starts;		/* starts in all */
	int64_t started_ns, first_started_ns, ended_ns, next_ns;
	int64_t launched_ns;		/* service: its program was executed; 0: not yet */
	int64_t kill_ns;		/* when to send SIGKILL after a stop or a passed deadline; 0: not */
	int64_t killed_ns;		/* during a shutdown: when SIGKILL was sent; 0: not yet */
	bool process;			/* a process exists, or is about to */
	bool overdue;			/* killed because of its deadline */
	bool restart;			/* start again once stopped */
	bool follows;			/* stopping because a dependency is */
	bool told;			/* stopping: it has its stop signal; its followers are stopped first */
	bool disable;			/* once it has ended its state is disabled, not stopped */
	enum {SWITCH_NONE, SWITCH_ON, SWITCH_OFF} switched;	/* by plan_enable() */
	enum plan_ending ending;
	int64_t alive_ns;		/* its last keep-alive, or when it became ready */
	int64_t burst_ns;		/* when the counting of restarts began */
	unsigned restarts;		/* since then */
	uint64_t progress_bytes;	/* the most that an attempt has reported */
	bool down;			/* during a shutdown: ended, and so has every node that depends on it */
	unsigned up;			/* during a shutdown: number of nodes that depend on it and are not down */
	bool seen;			/* by the walk over a start's dependencies */
};

struct plan {
	const struct config *config;
	struct plan_node *nodes;
	size_t n_nodes;
	struct plan_graph graph;
	struct queue starters;		/* nodes to start once no node is marked any more */
	uint64_t random;		/* for jitter: seeded by plan_seed() */
	size_t n_bad, n_open;		/* required nodes: failed or blocked; not settled */
	bool unjudged;			/* n_bad or n_open has changed */
	size_t least_open;		/* the smallest n_open of this booting */
	int64_t moved_ns;		/* the latest progress of this booting; 0: it has just begun */
	bool late;			/* boot_deadline_ms without progress have passed */
	size_t n_down;
	enum boot_state state;
	bool held_once;			/* and not booted since: stages of `when: held` may run */
	bool broken;			/* bad configuration: held, whatever the states of nodes */
	bool hurry;			/* second shutdown request, or its deadline is near */
	int64_t hurry_grace_ns;		/* the longest grace then */
	char reason[NODE_REASON_MAX];	/* why held */
	int64_t ended_ns;		/* first time booted or held */
	int64_t held_due_ns;		/* when the held action is due; 0: not */
	struct plan_action *queue;
	size_t head, count, capacity;
};

#endif
