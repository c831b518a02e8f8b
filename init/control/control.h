/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's side of the control protocol (gantry/control.h): accepted connections on CONTROL_PATH, and those that the
 * API and the logger inherit. A fixed table; every answer is produced from a cursor while the peer reads, so a peer
 * that does not read costs nothing and holds nothing back.
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
	CONTROL_MAY_ACT = 8,	/* what boot.json allows the API */
	CONTROL_MAY_TELL = 16,	/* how the last boot ended */
};

struct connection;

/* One request, as its row gets it. */
struct control_request {
	struct connection *from;
	const struct control_head *head;
	const char *body;	/* NUL behind its head->size bytes */
	int fd;			/* the descriptor that came along; -1: none */
};

/* What may be asked, of whom, and in what form; a request that does not fit its row is refused before perform(). */
struct control_row {
	enum control_kind kind;
	unsigned permission;	/* enum control_permission */
	bool bytes;		/* the body may have NULs within */
	bool fd;		/* exactly one descriptor comes along, which is perform()'s, also on failure */
	/* The argument of CONTROL_END: 0, an act's id, or negative errno. */
	int64_t (*perform)(const struct control_request *request);
};

struct control_table {
	const struct control_row *rows;
	size_t n;
};

/*
 * Listens on path (mode 0666). uid 0 may do everything, api_uid ((uid_t)-1: none) may read; anybody else is refused.
 * `table`: what may be asked beside events, the status and posting; it must stay valid. 0 or negative errno, said as an
 * event.
 */
int control_init(const char *path, uid_t api_uid, const struct control_table *table);

/* Who asks, for events: the role, stage or service, "gantryctl", or "kernel", which starts /sbin/poweroff by itself. */
const char *control_asker(const struct control_request *request);

/*
 * Takes over PID 1's end of a SOCK_SEQPACKET pair whose other end a role inherits as descriptor 3. `role` is its name,
 * `source` that of its events; strings that outlive the connection. 0, or negative errno with fd closed.
 */
int control_adopt(int fd, unsigned permissions, const char *role, const char *source);

/*
 * Hands fd (taken over, also on failure) to the adopted role of this name; a newer one of the same kind replaces one
 * that the role has not taken yet. Nothing happens if the role has no connection.
 */
void control_hand(const char *role, enum control_hand hand, int fd);

/* Each follower gets all events up to now and then the end of file; one that comes later likewise. */
void control_close_subscribers(void);

/* True while such a follower still has to be served. */
bool control_draining(void);

#endif
