/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The listener of the role api-tls: passes every accepted connection to conn_add().
 */
#ifndef INIT_API_LISTEN_H
#define INIT_API_LISTEN_H

#include <sys/socket.h>

/* Listens in the loop. `say` gets 0 or the negative errno of a failure, which is tried again every second. */
void listen_start(const struct sockaddr *address, socklen_t size, void (*say)(int result));

/* At the end: no new connections. */
void listen_stop(void);

#endif
