/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The states of stages, services and the boot, and their names, which are the same in PID 1, on the control socket, in
 * the API and in the docs.
 */
#ifndef GANTRY_PLAN_H
#define GANTRY_PLAN_H

enum node_kind {
	NODE_STAGE,
	NODE_SERVICE,
	NODE_KIND_MAX,
};

enum node_state {
	NODE_WAITING,	/* its dependencies are not met yet */
	NODE_RUNNING,	/* stage: its process runs; service: started, not ready yet */
	NODE_RETRYING,	/* failed; the next start is scheduled */
	NODE_READY,	/* service: runs and has passed its readiness check */
	NODE_DONE,	/* stage: finished; service: ended and its restart policy does not restart it */
	NODE_SKIPPED,	/* stage: had nothing to do */
	NODE_STOPPING,	/* has got its stop signal, or will; a stage only in a shutdown */
	NODE_STOPPED,	/* service: ended on request */
	NODE_DISABLED,	/* service: the plan does not start it */
	NODE_FAILED,	/* failed for good */
	NODE_BLOCKED,	/* a node that it needs failed for good or is disabled */
	NODE_STATE_MAX,
};

#define NODE_STATE_NAMES {"waiting", "running", "retrying", "ready", "done", "skipped", "stopping", "stopped", \
			  "disabled", "failed", "blocked"}

/* The whole boot. */
enum boot_state {
	BOOT_BOOTING,
	BOOT_BOOTED,	/* every required stage is done, every enabled required service ready */
	BOOT_HELD,	/* a required stage or service failed for good */
	BOOT_STOPPING,
	BOOT_STATE_MAX,
};

#define BOOT_STATE_NAMES {"booting", "booted", "held", "stopping"}

#define NODE_NAME_MAX   32	/* bytes, NUL included: [a-z0-9-], starts with a letter */
#define NODE_REASON_MAX 256	/* bytes, NUL included */
#define NODE_FACTS_MAX  1024	/* bytes of a node's facts: "key=value" strings, each terminated by NUL */

#endif
