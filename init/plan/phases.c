/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements phases.h. A phase has at most its own maximum, and never the minimum of the phases after it: so a phase
 * that overruns takes no time from the others.
 */
#include <string.h>

#include "phases.h"

#define MS 1000000LL
#define FORCE_MS 1500	/* from SIGKILL for the nodes until PID 1 goes on without those that survive it */

static const struct {
	const char *name;
	int least_ms;	/* reserved for it */
	int most_ms;	/* 0: all the time that the later phases do not need */
} table[PHASE_MAX] = {
	[PHASE_NODES] = {"services", 0, 0},
	[PHASE_API] = {"api", 1000, 1000},
	[PHASE_TERM] = {"processes", 2000, 2000},
	[PHASE_KILL] = {"killing", 1500, 1500},
	[PHASE_LOG] = {"log", 2000, 2000},
	[PHASE_SWEEP] = {"last processes", 500, 500},
	[PHASE_DISKS] = {"disks", 20000, 0},
	[PHASE_EMERGENCY] = {"emergency sync", 1000, 1000},
	[PHASE_END] = {"end", 500, 0},
};

_Static_assert(FORCE_MS + 1000 + 2000 + 1500 + 2000 + 500 + 20000 + 1000 + 500 == PHASES_TAIL_MS, "all of the table");

/* The minimum of the phases from `from` on, reduced in proportion if the whole is too short. */
static int64_t least_ns(const struct phases *p, enum phase from)
{
	int64_t sum = from <= PHASE_NODES ? FORCE_MS * MS : 0;

	for (enum phase i = from; i < PHASE_MAX; i++)
		sum += table[i].least_ms * MS;
	return p->whole_ns >= 2 * PHASES_TAIL_MS * MS ? sum : sum * (p->whole_ns / MS) / (2 * PHASES_TAIL_MS);
}

static void enter(struct phases *p, enum phase next, int64_t now)
{
	int64_t end_ns = p->first_ns + p->whole_ns;
	int64_t most_ns = table[next].most_ms * MS;

	if (p->phase != PHASE_NONE)
		p->took_ns[p->phase] = now - p->began_ns;
	p->phase = next;
	p->began_ns = now;
	if (next == PHASE_NODES)
		p->due_ns = end_ns - least_ns(p, PHASE_NODES);
	else
		p->due_ns = end_ns - least_ns(p, next + 1);
	if (next == PHASE_EMERGENCY)	/* it has its full time even if it begins late */
		p->due_ns = now + least_ns(p, PHASE_EMERGENCY) - least_ns(p, PHASE_END);
	else if (most_ns && p->due_ns > now + most_ns)
		p->due_ns = now + most_ns;
}

void phases_begin(struct phases *p, int64_t whole_ns, int64_t now)
{
	memset(p, 0, sizeof(*p));
	p->whole_ns = whole_ns;
	p->first_ns = now;
	p->total_due_ns = now + whole_ns - least_ns(p, PHASE_EMERGENCY);
	enter(p, PHASE_NODES, now);
}

int64_t phases_nodes_ms(int64_t whole_ms)
{
	const struct phases p = {.whole_ns = whole_ms * MS};

	return whole_ms - least_ns(&p, PHASE_NODES) / MS;
}

static bool all_is_well(const struct phases *p)
{
	return !p->overran[PHASE_DISKS] && p->phase == PHASE_DISKS;
}

enum phase_turn phases_step(struct phases *p, bool complete, int64_t now)
{
	if (p->phase == PHASE_NONE || p->phase == PHASE_END)
		return PHASE_STAYS;
	if (now >= p->total_due_ns && p->phase < PHASE_EMERGENCY) {
		p->overran[p->phase] = true;
		enter(p, PHASE_EMERGENCY, now);
		return PHASE_ENTERED;
	}
	if (!complete && now < p->due_ns)
		return PHASE_STAYS;
	if (!complete && p->phase == PHASE_NODES && !p->forced) {
		p->forced = true;
		p->due_ns = p->first_ns + p->whole_ns - least_ns(p, PHASE_API);
		return PHASE_FORCE;
	}
	p->overran[p->phase] = !complete;
	enter(p, all_is_well(p) ? PHASE_END : p->phase + 1, now);
	return PHASE_ENTERED;
}

int64_t phases_due_ns(const struct phases *p)
{
	if (p->phase == PHASE_NONE || p->phase == PHASE_END)
		return 0;
	return p->phase < PHASE_EMERGENCY && p->total_due_ns < p->due_ns ? p->total_due_ns : p->due_ns;
}

const char *phase_name(enum phase phase)
{
	return table[phase].name;
}
