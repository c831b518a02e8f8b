/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event: a text with its time, source and fields. Gantry reports everything it does as events; the console, the
 * ring, the persistent log and the System API only read them. This header defines the levels, the kinds and the binary
 * layout between processes, so that no reader parses lines of text.
 */
#ifndef GANTRY_EVENT_H
#define GANTRY_EVENT_H

#include <stdint.h>

enum event_level {
	EVENT_DEBUG,
	EVENT_INFO,
	EVENT_NOTICE,
	EVENT_WARNING,
	EVENT_ERROR,
	EVENT_LEVEL_MAX,
};

enum event_kind {
	EVENT_MESSAGE,	/* text for people */
	EVENT_STATE,	/* text is only the name of the state; the rest is in fields */
	EVENT_PROGRESS,	/* fields done, total (bytes), per_second, eta_s */
	EVENT_KIND_MAX,
};

/* Limits in bytes, without a terminating NUL. Longer input is cut, at a UTF-8 boundary. */
#define EVENT_SOURCE_MAX 32
#define EVENT_TEXT_MAX   1024
#define EVENT_FIELDS_MAX 512

/*
 * Layout of an event in the ring and in a control datagram: this head, then source, text and fields without padding.
 * Fields are "key=value" strings, each terminated by NUL. Times are nanoseconds: wall_ns since 1970 (by the clock at
 * that moment), boot_ns of CLOCK_BOOTTIME. seq starts at 1 and has no gaps within one boot.
 */
struct event_head {
	uint64_t seq;
	int64_t wall_ns;
	int64_t boot_ns;
	uint8_t level;
	uint8_t kind : 7;
	uint8_t kept : 1;	/* of Gantry's own, within its source's share: other events cannot evict it */
	uint16_t source_size;
	uint16_t text_size;
	uint16_t fields_size;
};

#define EVENT_RECORD_MAX (sizeof(struct event_head) + EVENT_SOURCE_MAX + EVENT_TEXT_MAX + EVENT_FIELDS_MAX)

/* Names in the order of the enums, as they appear on the console, in the API and in the log. */
#define EVENT_LEVEL_NAMES {"debug", "info", "notice", "warning", "error"}
#define EVENT_KIND_NAMES  {"message", "state", "progress"}

#endif
