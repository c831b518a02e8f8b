/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * api's side of the link (link.h): receives connections and reports the state of each.
 */
#ifndef INIT_API_PEER_H
#define INIT_API_PEER_H

#include "link.h"

/* `serve` gets each connection and takes over its descriptor. */
void peer_init(int (*serve)(int fd, const struct sockaddr *peer, socklen_t peer_size));

/* Takes over fd, the pair's end; an earlier one is closed. */
void peer_use(int fd);

/* HTTP's descriptor `fd` has come to this state. */
void peer_state(int fd, enum link_state state);

/* The slot of HTTP's descriptor, for tables of one row a connection; -1: none. */
int peer_slot(int fd);

#endif
