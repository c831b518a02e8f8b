/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP over libmicrohttpd, for a table of routes. It never sees a network socket; connections come in by http_serve()
 * as ends of socket pairs.
 */
#ifndef INIT_API_HTTP_H
#define INIT_API_HTTP_H

#include <stdbool.h>
#include <sys/socket.h>

#include "request.h"

/* After loop_init(). The table is used as long as the process lives. 0 or negative errno. */
int http_init(size_t connections, const struct route *table, size_t n);

/* Takes over fd, whose other end is a client. 0 or negative errno with fd closed. */
int http_serve(int fd, const struct sockaddr *peer, socklen_t peer_size);

/* No request is being answered. */
bool http_idle(void);

/* Runs the due work of libmicrohttpd; called after every turn of the loop. */
void http_run(void);

#endif
