/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose socket takes the connections to a local TCP address: that a port answers says nothing about the service that is
 * to be ready there, since another process, or an earlier life's, may have taken it. The kernel says in which cgroup
 * each socket was made (sock_diag(7), module tcp_diag), and asks for no capability.
 */
#ifndef INIT_LAUNCH_LISTENER_H
#define INIT_LAUNCH_LISTENER_H

#include <netinet/in.h>
#include <sys/socket.h>

enum listener {
	LISTENER_NONE,		/* no socket of this network namespace: a rule or another machine answers there */
	LISTENER_OWN,		/* it was made in the cgroup */
	LISTENER_FOREIGN,	/* it was not */
};

/* A socket for listener_find(). Or negative errno. */
int listener_open(void);

/*
 * Of the sockets that listen at the address; with `from`, the port of a connection to it in network byte order, of the
 * socket at that connection's other end. `folder`: of the cgroup, open; those below it count if they can be read. Or
 * negative errno; -ENOENT: the kernel lacks tcp_diag.
 */
int listener_find(int diag_fd, const struct sockaddr_storage *address, in_port_t from, int folder);

#endif
