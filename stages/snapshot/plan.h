/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Choosing a snapshot: lists the store and writes the manifest of the directory. */
#ifndef STAGES_SNAPSHOT_PLAN_H
#define STAGES_SNAPSHOT_PLAN_H

#include "attempt.h"

/* A worker lists the store; the plan becomes that of the directory. */
int snapshot_plan(struct snapshot *s);

#endif
