/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stages that report the state of the boot to somebody outside (`tells` of struct stage), who believes the latest
 * report. So they run one at a time, those with `when: held` at each hold, and the others again when the boot has
 * recovered from it.
 */
#ifndef INIT_PLAN_TELLS_H
#define INIT_PLAN_TELLS_H

#include "state.h"

/* Another one has a process, so that this one waits. */
bool tells_waits(const struct plan *plan, const struct plan_node *node);

/* An attempt of a stage has ended. */
void tells_ended(struct plan *plan, const struct plan_node *node);

/* The boot is held: every stage of `when: held` runs, also one that has run in an earlier hold. */
void tells_held(struct plan *plan);

/* The boot is booted after it was held. */
void tells_recovered(struct plan *plan);

#endif
