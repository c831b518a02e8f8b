/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transfer of a snapshot: workers fetch the blocks, the monitor journals them. */
#ifndef STAGES_SNAPSHOT_FETCH_H
#define STAGES_SNAPSHOT_FETCH_H

#include "attempt.h"

/* Fetches until every block is here, or (s->replan) the store no longer has the objects of the plan. */
int snapshot_fetch(struct snapshot *s);

void fetch_end_workers(struct snapshot *s);

#endif
