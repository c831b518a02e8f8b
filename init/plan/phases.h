/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way down as a pure state machine: which phase it is in, how long that may still take, and what is left for
 * those that come after. The services get what the later phases do not need; the whole has an end that nothing moves.
 */
#ifndef INIT_PLAN_PHASES_H
#define INIT_PLAN_PHASES_H

#include <stdbool.h>
#include <stdint.h>

enum phase {
	PHASE_NONE,
	PHASE_NODES,		/* stages and services, by the plan */
	PHASE_API,		/* it shows the progress until here */
	PHASE_TERM,		/* SIGTERM to every process that is left */
	PHASE_KILL,		/* SIGKILL, to all but the logger */
	PHASE_LOG,		/* the persistent log gets its last event and is synced */
	PHASE_SWEEP,		/* SIGKILL to everyone */
	PHASE_DISKS,		/* role teardown: swap, file systems, volumes, TPM */
	PHASE_EMERGENCY,	/* only where time was over: the kernel's emergency sync and remount */
	PHASE_END,		/* reboot(2) */
	PHASE_MAX,
};

/* What the phases after the nodes need, with the SIGKILL that ends the nodes' own: docs/shutdown.md. */
#define PHASES_TAIL_MS 30000

enum phase_turn {
	PHASE_STAYS,
	PHASE_FORCE,		/* the nodes' time is over: kill what is left of them; it stays a moment longer */
	PHASE_ENTERED,		/* a new phase has begun: do what it begins with */
};

struct phases {
	enum phase phase;
	bool forced;			/* PHASE_FORCE was told */
	bool overran[PHASE_MAX];	/* left because its time was over */
	int64_t whole_ns;
	int64_t began_ns, due_ns;	/* of this phase */
	int64_t first_ns;		/* of the whole */
	int64_t total_due_ns;		/* when only the emergency's moment is left */
	int64_t took_ns[PHASE_MAX];
};

/* Enters PHASE_NODES. whole_ns: the time for everything; if it is short, each phase has less of it. */
void phases_begin(struct phases *phases, int64_t whole_ns, int64_t now);

/* complete: the phase has what it waits for. Call again until PHASE_STAYS. */
enum phase_turn phases_step(struct phases *phases, bool complete, int64_t now);

/* When phases_step() moves on although nothing is complete; 0: never. */
int64_t phases_due_ns(const struct phases *phases);

/* Of a whole, the part that is the nodes' own. */
int64_t phases_nodes_ms(int64_t whole_ms);

/* For people: "services", "disks". */
const char *phase_name(enum phase phase);

#endif
