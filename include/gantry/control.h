/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control protocol between PID 1 and gantryctl, the API and the logger. SOCK_SEQPACKET, one message a datagram: a
 * head and `size` bytes of body. The same protocol is used on /run/gantry/control (root, by peer credentials) and on
 * the connection that the API and the logger inherit as descriptor 3.
 *
 * Every request is answered by zero or more data messages and one CONTROL_END, whose `argument` is 0 or a negative
 * errno and whose body may have the reason. A followed event subscription has no end: PID 1 keeps one cursor for it,
 * sends while the socket has room, and continues from the cursor when the peer has read. On a connection that follows,
 * the event made by a request comes before that request's CONTROL_END.
 */
#ifndef GANTRY_CONTROL_H
#define GANTRY_CONTROL_H

#include <stdint.h>

#include "event.h"
#include "plan.h"

#define CONTROL_PATH     "/run/gantry/control"
#define EVENT_SOCKET     "/run/gantry/events"	/* SOCK_DGRAM: one datagram (init/event/datagram.h), one event */
#define CONTROL_FD       3

enum control_kind {
	/* requests */
	CONTROL_EVENTS = 1,	/* argument: first seq wanted; flag CONTROL_FOLLOW */
	CONTROL_STATUS,		/* answers: CONTROL_BOOT, _REFRESHES, then for each node _NODE, _FACTS, _LINES */
	CONTROL_POST,		/* body: text of a new event, or text NUL fields (see event.h); level in argument */
	CONTROL_START,		/* body: node name. Service: start; failed or skipped stage: try again */
	CONTROL_STOP,		/* body: service name */
	CONTROL_RESTART,	/* body: service name */
	CONTROL_POWEROFF,	/* body: reason, may be empty */
	CONTROL_REBOOT,
	CONTROL_HALT,
	CONTROL_CERTIFICATE,	/* body: struct control_certificate, of the one that the API uses, for the status */
	CONTROL_REFRESH,	/* starts a refresh; CONTROL_END's argument: seq from which its events may come */
	/*
	 * Acts, for the API only: PID 1 looks the name up in boot.json and starts a process for it. CONTROL_END's
	 * argument is the act's id (above 0) or a negative errno; its result is an event of source "system-api"
	 * with the fields id and result (success or failed).
	 */
	CONTROL_ACTION,		/* body: action name */
	CONTROL_UPLOAD,		/* body: upload name; attached: a sealed memfd with the content */
	CONTROL_PASSWORD,	/* body: new content of password_file */
	CONTROL_BOOT_LOG,	/* attached: the socket with the request, for the answer (init/api/bootlog.h) */
	CONTROL_SERVICE_LOG,	/* body: service name; attached: likewise */
	/* answers */
	CONTROL_EVENT,		/* body: struct event_head and its strings */
	CONTROL_GAP,		/* argument: number of events before the next one that this reader has missed */
	CONTROL_BOOT,		/* body: struct control_boot */
	CONTROL_NODE,		/* body: struct control_node */
	CONTROL_END,
	CONTROL_RING,		/* argument: number of events PID 1 keeps; first answer of a followed subscription */
	CONTROL_HAND,		/* argument: enum control_hand; attached: its descriptor. No answer: at any time */
	CONTROL_FACTS,		/* body: "key=value" NUL each, of the node before it; only if it has any */
	CONTROL_LINES,		/* body: struct control_lines, of the node before it, if it is a service with a log */
	CONTROL_LAST_SHUTDOWN,	/* a request of the logger. body: "key=value" NUL each (init/log/lastboot.h) */
	CONTROL_REFRESHES,	/* body: struct control_refresh, after CONTROL_BOOT; only if boot.json has `refresh` */
	CONTROL_KIND_MAX,
};

#define CONTROL_FOLLOW  1	/* CONTROL_EVENTS: continue with new events */
#define CONTROL_OUTSIDE 2	/* CONTROL_POST: text of an HTTP client (source "http"), not of the role */

/* Descriptors that PID 1 sends to the API's roles, again after each start of the role. */
enum control_hand {
	HAND_PEER,		/* a SOCK_SEQPACKET to the other role: api to api-tls, api-tls to api */
	HAND_PASSWORD,		/* api: a sealed memfd with the stored hash; empty: no password is set */
	HAND_IDENTITY,		/* api-tls: a sealed memfd with the certificate and its key, PEM */
	HAND_MAX,
};

struct control_head {
	uint16_t kind;
	uint16_t flags;
	uint32_t size;
	int64_t argument;
};

/*
 * Histogram of the duration of the turns of PID 1's loop: upper bounds of the buckets; the last bucket has none. No
 * request to PID 1 waits longer than the longest turn.
 */
#define CONTROL_TURN_BOUNDS_NS {100000, 300000, 1000000, 3000000, 10000000, 30000000, 100000000}
#define CONTROL_TURN_BUCKETS   8

struct control_turns {
	uint64_t count[CONTROL_TURN_BUCKETS];	/* turns in each bucket, not cumulative */
	uint64_t sum_ns;
	uint64_t max_ns;
};

/* Times are CLOCK_BOOTTIME nanoseconds, 0: not yet. Strings are NUL-terminated. */
struct control_boot {
	int64_t now_ns;
	int64_t started_ns;		/* PID 1's first instruction */
	int64_t ended_ns;		/* booted or held */
	int64_t certificate_end_s;	/* when the API's certificate ends, since 1970; 0: there is none yet */
	uint8_t state;			/* enum boot_state */
	uint8_t reserved[3];
	uint32_t children;		/* live processes that PID 1 started */
	uint64_t events;		/* seq of the newest event */
	uint64_t dropped;		/* messages dropped: malformed, table full, over a sender's limit */
	uint64_t events_by_level[EVENT_LEVEL_MAX];
	uint64_t memory_bytes;		/* PID 1's resident memory; 0: unknown */
	struct control_turns turns;
	char reason[NODE_REASON_MAX];
	char version[32];
	char hostname[64];
	char kernel[64];		/* kernel release */
	char image_name[64], image_version[64];		/* "": unknown */
	char certificate_sha256[65];	/* hex, of the API's certificate; "": none yet */
	char reserved2[5];
	uint16_t last_shutdown_size;
	char last_shutdown[EVENT_FIELDS_MAX];	/* "key=value" NUL each (init/log/lastboot.h); empty: unknown */
};

struct control_certificate {
	int64_t end_s;		/* when it ends, in seconds since 1970 */
	char sha256[64];	/* lower-case hex digits, without a NUL */
};

/* The current step of a refresh. */
enum refresh_state {
	REFRESH_IDLE,
	REFRESH_FETCHING,	/* the config stage fetches the document; an unchanged one ends the refresh */
	REFRESH_CHECKING,	/* each render stage renders it and writes nothing */
	REFRESH_MEASURING,	/* the document is measured before it is used */
	REFRESH_APPLYING,	/* each render stage writes its files, all or none */
	REFRESH_UNDOING,	/* a render stage failed: it and those before it render the old document again */
	REFRESH_OVER,		/* the machine is stopping */
	REFRESH_STATE_MAX,
};

#define REFRESH_STATE_NAMES {"idle", "fetch", "check", "measure", "apply", "undo", "stopping"}

/* How a refresh ended. */
enum refresh_outcome {
	REFRESH_GOOD,
	REFRESH_SAME,		/* the document is the current one */
	REFRESH_BAD,
	REFRESH_OUTCOME_MAX,
};

#define REFRESH_OUTCOME_NAMES {"changed", "unchanged", "failed"}

struct control_refresh {
	int64_t success_ns;		/* when the document in use was last fetched (also at the boot) or confirmed */
	int64_t ended_ns;		/* end of the latest refresh */
	int64_t next_ns;		/* when the next one starts; 0: only on request, or one is running */
	uint64_t runs[REFRESH_OUTCOME_MAX];
	uint8_t state;			/* enum refresh_state */
	uint8_t outcome;		/* enum refresh_outcome, of the latest one */
	char sha256[65];		/* hex, of the document in use; "": none yet */
	char reserved[5];
	char reason[NODE_REASON_MAX];	/* why the latest one failed; "": it did not fail */
};

struct control_node {
	int64_t started_ns;		/* of the latest attempt */
	int64_t ended_ns;		/* stage: end of the latest attempt; service: when it became ready */
	int64_t first_started_ns;
	int64_t next_start_ns;		/* while retrying */
	int32_t pid;			/* 0: no process */
	uint32_t attempts;		/* service: starts */
	uint8_t kind;			/* enum node_kind */
	uint8_t state;			/* enum node_state */
	uint8_t required;
	uint8_t reserved[5];
	char name[NODE_NAME_MAX];
	char type[NODE_NAME_MAX];	/* stage type, or "service" */
	char reason[NODE_REASON_MAX];	/* last result or last message */
	/* The latest progress that it reported, as in gantry/report.h; progress_ns 0: none in any attempt. */
	int64_t progress_ns;
	uint64_t progress_done;		/* bytes */
	uint64_t progress_total;	/* bytes, 0 if unknown */
	uint64_t progress_per_second;
	uint32_t progress_eta_s;	/* UINT32_MAX if unknown */
	uint32_t reserved2;
	char progress_text[NODE_REASON_MAX];
};

/* A service's last lines, in several messages if they are too long for one. */
struct control_lines {
	uint64_t dropped;		/* number of lines that are in no file */
	char bytes[];			/* whole lines, oldest first, each ended by NUL */
};

#define CONTROL_BODY_MAX     2048
#define CONTROL_DATAGRAM_MAX (sizeof(struct control_head) + CONTROL_BODY_MAX)

_Static_assert(sizeof(struct control_boot) <= CONTROL_BODY_MAX && sizeof(struct control_node) <= CONTROL_BODY_MAX &&
	       sizeof(struct control_refresh) <= CONTROL_BODY_MAX && NODE_FACTS_MAX <= CONTROL_BODY_MAX,
	       "each is one message");

#endif
