/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Probes: programs from boot.json, run periodically, whose exit status reports whether a service is ready or still
 * works. A probe is launched like the service, with its user and environment, but in its own cgroup; one at a time for
 * each service, each with a timeout. Consecutive failures are counted here. For `ready.path` and `ready.tcp` the probe
 * is the role `await` (init/launch/await.c), which ends when the service is ready.
 */
#ifndef INIT_NODE_PROBE_H
#define INIT_NODE_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "init/plan/plan.h"

enum probe_kind {
	PROBE_READY,	/* runs at once, then after each interval until it succeeds */
	PROBE_HEALTH,	/* runs after each interval; fails after `failures` failed runs in a row */
};

/*
 * `answer` is called from the loop, at most once for each probe_begin(): a PROBE_READY succeeded (why NULL), or a
 * PROBE_HEALTH failed, with the reason of the last run. The probe is over then. 0 or -ENOMEM.
 */
int probe_init(const struct plan *plan, void (*answer)(size_t node, enum probe_kind kind, const char *why));

/* Maximum number of probes that run at once; each is a child. */
size_t probe_count(const struct config *config);

/* REPORT_TRACE of the service's launcher: size bytes, NUL at the end; at its start "". False: malformed, not kept. */
bool probe_trace(size_t node, const char *trace, size_t size);

void probe_begin(size_t node, enum probe_kind kind);
/* Ends the node's probe: kills a run in progress, and `answer` is not called any more. */
void probe_end(size_t node);

/* Why the last run of `ready.exec` failed at this start of the service, also after probe_end(); "": none has. */
const char *probe_why(size_t node);

#endif
