/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words for where a stage or a service stands: in PID 1, on the control socket, in the API and in the docs
 * they are these and no others.
 */
#ifndef GANTRY_PLAN_H
#define GANTRY_PLAN_H

enum node_kind {
	NODE_STAGE,
	NODE_SERVICE,
	NODE_KIND_MAX,
};

enum node_state {
	NODE_WAITING,	/* for what it needs */
	NODE_RUNNING,	/* stage: its process runs; service: started, not ready yet */
	NODE_RETRYING,	/* failed, waits for its next start */
	NODE_READY,	/* service only: it runs and has said that it is ready */
	NODE_DONE,	/* stage, or a service that ended as it should */
	NODE_SKIPPED,	/* stage: nothing to do */
	NODE_STOPPING,	/* service: told to stop, or stage: told to end by a shutdown */
	NODE_STOPPED,	/* service: stopped on request */
	NODE_DISABLED,	/* service: not to be started by the plan */
	NODE_FAILED,	/* for good */
	NODE_BLOCKED,	/* something it needs failed for good */
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
#define NODE_FACTS_MAX  1024	/* bytes of "key=value" strings, each ended by NUL: what a stage found out */

#endif
