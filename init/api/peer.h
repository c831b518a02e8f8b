/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * api's side of the link (link.h): takes connections and hands them to HTTP, and tells where each stands.
 */
#ifndef INIT_API_PEER_H
#define INIT_API_PEER_H

#include "link.h"

/* Takes over fd, the pair's end; one that was there before is dropped. */
void peer_use(int fd);

/* HTTP's descriptor `fd` has come to this state. */
void peer_state(int fd, enum link_state state);

/* The slot of HTTP's descriptor, for tables of one row a connection; -1: none. */
int peer_slot(int fd);

#endif
