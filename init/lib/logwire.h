/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol between PID 1 and the role service-log, over SOCK_SEQPACKET: each datagram is a message of a head and
 * `size` bytes of body. The last lines of every service need no messages: they are in shared memory (logtail.h).
 */
#ifndef INIT_LIB_LOGWIRE_H
#define INIT_LIB_LOGWIRE_H

#include <stdint.h>

#include <gantry/event.h>
#include <gantry/plan.h>

#define LOG_CHANNEL_FD 3
#define LOG_PATH_MAX   256
#define LOG_NOBODY     UINT16_MAX

enum log_kind {
	/* PID 1 to the role */
	LOG_HELLO = 1,	/* the first; body: struct log_hello; attached: a memfd with a struct logtail for each node */
	LOG_PIPE,	/* body: struct log_service; argument: enum log_stream; attached: the end to read from */
	LOG_OPEN,	/* the nodes in `logs.needs` are done: open the directory */
	LOG_ENDED,	/* the node's process has ended; argument: number of that end, returned in LOG_READ */
	LOG_FINISH,	/* write all remaining lines, then exit */
	/* the role to PID 1 */
	LOG_READ,	/* the node's pipes have been read up to its end `argument` */
	LOG_LINE,	/* body: a line of the node, to become an event */
	LOG_SAY,	/* body: text of an event about the node or, LOG_NOBODY, the role itself; argument: its level */
	LOG_KIND_MAX,
};

enum log_stream {
	LOG_STDOUT,	/* or both outputs, in the format `text` */
	LOG_STDERR,
	LOG_STREAMS,
};

struct log_head {
	uint16_t kind;
	uint16_t node;
	uint32_t size;
	uint32_t argument;
};

struct log_hello {
	uint32_t nodes;
	uint32_t again;		/* not the first process of this boot: unwritten lines of the previous one are lost */
	char directory[LOG_PATH_MAX];
	char group[NODE_NAME_MAX];	/* of the files */
};

struct log_service {
	char name[NODE_NAME_MAX];
	int64_t max_bytes;	/* per file */
	uint32_t files;		/* including NAME.log */
	uint8_t json;
	uint8_t events;
	uint8_t reserved[2];
};

#define LOG_BODY_MAX (EVENT_TEXT_MAX > sizeof(struct log_hello) ? EVENT_TEXT_MAX : sizeof(struct log_hello))

#endif
