/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Probes: a program of the configuration's that is run now and then and says by its exit status whether a service is
 * ready, or still works. It is launched as the service is, with the service's user and environment, in a cgroup of its
 * own beside the service's; one at a time for each service, each with a timeout. Failures in a row are counted here.
 */
#ifndef INIT_NODE_PROBE_H
#define INIT_NODE_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "init/plan/plan.h"

enum probe_kind {
	PROBE_READY,	/* at once, then each interval until it is good */
	PROBE_HEALTH,	/* each interval; bad: `failures` of them in a row */
};

/*
 * answer is called from the loop: good once for each PROBE_READY, bad once for each PROBE_HEALTH, with the reason of
 * the last failure; the probe has ended then. 0 or -ENOMEM.
 */
int probe_init(const struct plan *plan, void (*answer)(size_t node, enum probe_kind kind, const char *why));

/* How many may run at once: each is a child. */
size_t probe_count(const struct config *config);

void probe_begin(size_t node, enum probe_kind kind);
/* Ends one that runs; nothing is answered any more. */
void probe_end(size_t node);

#endif
