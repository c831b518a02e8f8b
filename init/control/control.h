/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's side of the control protocol (gantry/control.h): connections accepted on CONTROL_PATH, and those that the API
 * and the logger inherit. The table is fixed; every answer is produced from a cursor while the peer reads, so a peer
 * that does not read costs no memory and delays no other.
 */
#ifndef INIT_CONTROL_CONTROL_H
#define INIT_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gantry/control.h>

enum control_permission {
	CONTROL_MAY_READ = 1,	/* events, status */
	CONTROL_MAY_POST = 2,	/* new events */
	CONTROL_MAY_CONTROL = 4,	/* start, stop, restart, poweroff, reboot, halt */
	CONTROL_MAY_ACT = 8,	/* the acts that boot.json configures for the API */
	CONTROL_MAY_LAST_SHUTDOWN = 16,	/* CONTROL_LAST_SHUTDOWN */
};

struct connection;

/* One request, valid during perform(). */
struct control_request {
	struct connection *from;
	const struct control_head *head;
	const char *body;	/* head->size bytes, then a NUL */
	int fd;			/* the attached descriptor; -1: none */
};

/* One kind of request: its permission and form. A request that does not fit its row is refused before perform(). */
struct control_row {
	enum control_kind kind;
	unsigned permission;	/* enum control_permission */
	bool bytes;		/* the body may contain NULs */
	bool fd;		/* one descriptor is attached, a sealed memfd or Unix socket; perform() takes it over */
	/* Returns the argument of CONTROL_END: 0, an act's id, or negative errno. */
	int64_t (*perform)(const struct control_request *request);
};

struct control_table {
	const struct control_row *rows;
	size_t n;
};

/*
 * Listens on path (mode 0666). uid 0 may read, post and control, api_uid ((uid_t)-1: none) may read; other users are
 * refused. `table`: the requests besides events, status and posting; it must stay valid. 0 or negative errno, reported
 * as an event.
 */
int control_init(const char *path, uid_t api_uid, const struct control_table *table);

/* The requester's name for events: a role, stage or service, "gantryctl", or "kernel", if the kernel started it. */
const char *control_requester(const struct control_request *request);

/*
 * Takes over PID 1's end of a SOCK_SEQPACKET pair whose other end a role inherits as descriptor 3. `role` is its name,
 * `source` the source of its events; both must outlive the connection. 0, or negative errno with fd closed.
 */
int control_adopt(int fd, unsigned permissions, const char *role, const char *source);

/*
 * Sends fd (taken over, also on failure) to the adopted role of this name; it replaces an unsent one of the same kind.
 * Closes fd if the role has no connection.
 */
void control_hand(const char *role, enum control_hand hand, int fd);

/* Sends each follower, present or later, the events up to now and then the end of file. Does not wait for them. */
void control_close_subscribers(void);

/* Whether a follower has not got all of these events yet. */
bool control_draining(void);

#endif
