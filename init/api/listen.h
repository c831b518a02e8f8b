/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The listener of the role api-tls: every connection it accepts is conn.h's.
 */
#ifndef INIT_API_LISTEN_H
#define INIT_API_LISTEN_H

#include <sys/socket.h>

/* Listens in the loop; a failure is reported by `say` and tried again every second. */
void listen_start(const struct sockaddr *address, socklen_t size, void (*say)(int result));

/* At the end: no new connections. */
void listen_stop(void);

#endif
