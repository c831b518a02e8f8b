/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shutdown as a pure state machine: its phases and their deadlines. The services have all the time that the later
 * phases do not need, and the end of the whole never moves.
 */
#ifndef INIT_PLAN_PHASES_H
#define INIT_PLAN_PHASES_H

#include <stdbool.h>
#include <stdint.h>

enum phase {
	PHASE_NONE,
	PHASE_NODES,		/* stages and services, by the plan */
	PHASE_API,		/* it shows the progress until here */
	PHASE_TERM,		/* SIGTERM to every remaining process */
	PHASE_KILL,		/* SIGKILL to all but the logger */
	PHASE_LOG,		/* the persistent log gets its last event and is synced */
	PHASE_SWEEP,		/* SIGKILL to every process */
	PHASE_DISKS,		/* role teardown: swap, file systems, volumes, TPM */
	PHASE_EMERGENCY,	/* only after a deadline has passed: the kernel's emergency sync and remount */
	PHASE_END,		/* reboot(2) */
	PHASE_MAX,
};

/* Time of the phases after the nodes, including the SIGKILL that ends the nodes' phase: docs/shutdown.md. */
#define PHASES_TAIL_MS 30000

enum phase_turn {
	PHASE_STAYS,
	PHASE_FORCE,		/* the nodes' deadline has passed: kill the remaining ones, then call again */
	PHASE_ENTERED,		/* a new phase has begun */
};

struct phases {
	enum phase phase;
	bool forced;			/* PHASE_FORCE was returned */
	bool overran[PHASE_MAX];	/* ended by its deadline */
	int64_t whole_ns;
	int64_t began_ns, due_ns;	/* of this phase */
	int64_t first_ns;		/* when the whole began */
	int64_t total_due_ns;		/* when only the emergency phase can still follow */
	int64_t took_ns[PHASE_MAX];
};

/* Enters PHASE_NODES. whole_ns: time for the whole shutdown; if it is short, each phase has less. */
void phases_begin(struct phases *phases, int64_t whole_ns, int64_t now);

/* complete: the work of this phase is done. Call again until PHASE_STAYS. */
enum phase_turn phases_step(struct phases *phases, bool complete, int64_t now);

/* The deadline of the phase, at which phases_step() must be called; 0: none. */
int64_t phases_due_ns(const struct phases *phases);

/* The part of the whole that the nodes have. */
int64_t phases_nodes_ms(int64_t whole_ms);

/* For messages: "services", "disks". */
const char *phase_name(enum phase phase);

#endif
