/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection of the control protocol, within control.c, answer.c and request.c. It is a few
 * cursors, never a queue: at most one request is being answered, beside at most one followed subscription. Who does not
 * read only falls behind.
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
	const char *role, *event_source;	/* adopted: the name of its role, and of its events' source */
	pid_t pid;			/* accepted */
	int64_t active_ns;

	bool following, closing;
	uint64_t next, last;		/* events still to be sent: next to last */

	enum answer answer;
	size_t step;			/* ANSWER_STATUS: the boot, refreshes, each node, its facts, its lines */
	size_t line;			/* the next of those lines */
	int64_t result;			/* ANSWER_END: 0, an act's id, or negative errno */
	uint64_t barrier;		/* ANSWER_END: a follower gets this event first */
	int hands[HAND_MAX];		/* adopted: descriptors to be handed over; -1: none */
};

/* What may be asked beside what request.c answers itself. */
void connection_requests(const struct control_table *table);

/*
 * Takes one request from the socket, does it, and sets what is to be answered. 1: it did; 0: there is none; -1: the
 * connection is gone.
 */
int connection_receive(struct connection *c);

/* Sends a bounded number of what is due. False: likewise. */
bool connection_pump(struct connection *c);

/* Whether events for it are there. */
bool connection_events_due(const struct connection *c);

/* Closes it, with all that was to be handed over; its slot is free. */
void connection_drop(struct connection *c);

/* A CONTROL_END with the words of an errno, to a socket that need be no connection yet. 0 or negative errno. */
int connection_end(int fd, int64_t result);

/* From now on whoever begins to follow gets what there is, and then the end of file. */
void connection_end_following(void);

#endif
