/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCP connections of the role api-tls: each is one socket, one TLS session and one end of a socket pair, whose other
 * end the role api reads as if it were the client (link.h). Their number is limited, in total and per address, and
 * every wait has a deadline.
 */
#ifndef INIT_API_CONN_H
#define INIT_API_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* At most LINK_SLOTS_MAX connections. 0 or negative errno. */
int conn_init(size_t connections, size_t per_address);

/* Takes over fd, a new link to the role api; connections that wait for one are handed over. */
void conn_link(int fd);

/* Takes over fd, an accepted connection. 0, or negative with fd closed: over the limit, or no memory. */
int conn_add(int fd, const struct sockaddr_storage *peer, socklen_t peer_size);

/* No client still has to receive an answer. */
bool conn_idle(void);

#endif
