/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection of the control protocol, shared by control.c, answer.c and request.c. It has a few cursors and no
 * queue: at most one request is being answered, and at most one subscription is followed. A client that does not read
 * only falls behind.
 */
#ifndef INIT_CONTROL_CONNECTION_H
#define INIT_CONTROL_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control.h"
#include "init/lib/loop.h"

enum answer {
	ANSWER_NONE,
	ANSWER_RING,
	ANSWER_EVENTS,
	ANSWER_STATUS,
	ANSWER_END,
};

struct connection {
	struct loop_source source;	/* first: ready() gets this; fd -1: the slot is free */
	unsigned permissions;
	const char *role, *event_source;	/* adopted: its role, and the source of its events */
	pid_t pid;			/* accepted */
	int64_t active_ns;

	bool following, closing;
	uint64_t next, last;		/* events still to be sent: next to last */

	enum answer answer;
	size_t step;			/* ANSWER_STATUS: the boot, refreshes, each node, its facts, its lines */
	size_t line;			/* next one of those lines */
	int64_t result;			/* ANSWER_END: 0, an act's id, or negative errno */
	uint64_t barrier;		/* ANSWER_END: a follower gets the events up to this one first */
	int hands[HAND_MAX];		/* adopted: descriptors to send with CONTROL_HAND; -1: none */
};

/* Sets the requests that are accepted besides request.c's own; the table is kept. */
void connection_requests(const struct control_table *table);

/*
 * Reads one request from the socket, without waiting, performs it and sets the answer. 1: performed; 0: no request;
 * -1: the connection was dropped.
 */
int connection_receive(struct connection *c);

/* Sends a bounded number of the due messages. Returns false if the connection was dropped. */
bool connection_pump(struct connection *c);

/* Whether there are events to send to it. */
bool connection_events_due(const struct connection *c);

/* Closes the connection and the descriptors it was still to get; its slot is free. */
void connection_drop(struct connection *c);

/* Sends a CONTROL_END with the text for result to any socket of the protocol. 0 or negative errno. */
int connection_end(int fd, int64_t result);

/* From now on a new follower gets the events up to now and then the end of file. */
void connection_end_following(void);

#endif
