/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HTTP side: routes and their answers, over libmicrohttpd. It never sees a network socket; connections come in
 * by http_serve() as ends of socket pairs.
 */
#ifndef INIT_API_HTTP_H
#define INIT_API_HTTP_H

#include <stdbool.h>
#include <sys/socket.h>

#include "options.h"

/* After loop_init(). 0 or negative errno. */
int http_init(const struct api_options *options);

/* Takes over fd, whose other end is a client. 0 or negative errno with fd closed. */
int http_serve(int fd, const struct sockaddr *peer, socklen_t peer_size);

/* No request is being answered. */
bool http_idle(void);

/* Lets libmicrohttpd do what is due; called after every turn of the loop. */
void http_run(void);

#endif
