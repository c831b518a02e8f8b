/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The report socket: descriptor 3 of every role that PID 1 starts as a stage or a launcher. SOCK_SEQPACKET, one
 * message a datagram: a head and `size` bytes of body. PID 1 checks kind, sizes and permission of each message and
 * drops and counts invalid ones; no message can make PID 1 allocate memory, wait or stop.
 */
#ifndef GANTRY_REPORT_H
#define GANTRY_REPORT_H

#include <stdint.h>

#include "plan.h"

#define REPORT_FD   3
#define OPTIONS_FD  4

enum report_kind {
	/* from the role to PID 1 */
	REPORT_EVENT = 1,	/* body: text, or text NUL fields (see event.h) */
	REPORT_PROGRESS,	/* body: struct report_progress, then text */
	REPORT_RESULT,		/* body: one-line reason; the last one counts; flag REPORT_SKIPPED */
	REPORT_GIVE,		/* body: artifact name; one sealed memfd attached */
	REPORT_TAKE,		/* body: artifact name; answered once, now or later: REPORT_TAKEN or _ABSENT */
	REPORT_STARTED,		/* launch, of a container: podman is about to be executed; body empty */
	/* from PID 1 to the role */
	REPORT_TAKEN,		/* body: artifact name; one sealed memfd attached */
	REPORT_ABSENT,		/* body: artifact name; no stage can give it any more */
	/* from the role to PID 1; last, since external programs (stage exec) use the numbers above */
	REPORT_FACTS,		/* body: "key=value" NUL each, at most NODE_FACTS_MAX; replaces earlier facts */
	REPORT_CHANGED,		/* render: paths of files that changed (or would), NUL each; any number of messages */
	REPORT_FLAGS,		/* config: KEY=true, =false, =missing or =invalid, NUL each, of `enabled_if` keys */
	REPORT_TRACE,		/* launch: a word for what is at `ready.path` already, NUL; none: nothing */
	REPORT_KIND_MAX,
};

#define REPORT_SKIPPED 1
#define TRACE_MAX      160	/* bytes of REPORT_TRACE's body */

struct report_head {
	uint16_t kind;		/* enum report_kind */
	uint8_t level;		/* enum event_level, for REPORT_EVENT and REPORT_PROGRESS */
	uint8_t flags;
	uint32_t size;		/* bytes that follow in this datagram, exactly */
};

struct report_progress {
	uint64_t done;		/* bytes */
	uint64_t total;		/* bytes, 0 if unknown */
	uint64_t per_second;	/* bytes a second, smoothed by the sender */
	uint32_t eta_s;		/* UINT32_MAX if unknown */
	uint32_t reserved;	/* 0 */
};

#define REPORT_BODY_MAX     2048
#define REPORT_DATAGRAM_MAX (sizeof(struct report_head) + REPORT_BODY_MAX)

/* Artifacts: named bytes in a memfd sealed with F_SEAL_SEAL | SHRINK | GROW | WRITE. */
#define ARTIFACT_NAME_MAX 32
#define CONFIG_ARTIFACT   "config"
#define KEPT_ARTIFACT     "config-without-keys"	/* config without disk secrets, kept for refreshes: docs/refresh.md */
#define DIGEST_ARTIFACT   "config-digest"
#define ARTIFACT_SIZE_MAX (4u << 20)

#endif
