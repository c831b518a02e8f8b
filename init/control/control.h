/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's side of the control protocol (gantry/control.h): accepted connections on CONTROL_PATH, and those that the
 * API and the logger inherit. A fixed table; every answer is produced from a cursor while the peer reads, so a peer
 * that does not read costs nothing and holds nothing back.
 */
#ifndef INIT_CONTROL_CONTROL_H
#define INIT_CONTROL_CONTROL_H

#include <stdbool.h>
#include <sys/types.h>

#include <gantry/control.h>

enum control_permission {
	CONTROL_MAY_READ = 1,	/* events, status */
	CONTROL_MAY_POST = 2,	/* new events */
	CONTROL_MAY_CONTROL = 4,	/* start, stop, restart, poweroff, reboot, halt */
	CONTROL_MAY_TELL = 16,	/* how the last boot ended */
	CONTROL_MAY_ACT = 8,	/* what boot.json allows the API */
};

/*
 * Listens on path (mode 0666). uid 0 may do everything, api_uid ((uid_t)-1: none) may read; anybody else is refused.
 * 0 or negative errno, said as an event.
 */
int control_init(const char *path, uid_t api_uid);

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
