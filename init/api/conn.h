/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCP connections with TLS in front of the HTTP server: each is one socket, one TLS session and one end of a socket
 * pair, whose other end HTTP reads as if it were the client. Bounded in number and in every wait.
 */
#ifndef API_CONN_H
#define API_CONN_H

#include <sys/socket.h>

#define CONN_MAX 256

/* Hands an end of a pair to HTTP; 0, or negative with fd closed. */
typedef int conn_handover(int fd, const struct sockaddr *peer, socklen_t peer_size);

/* Listens in the loop; a failure is reported by `say` and tried again every second. */
void conn_listen(const struct sockaddr *address, socklen_t size, conn_handover *handover, void (*say)(int result));

/* A request on HTTP's end `fd` has its whole head; its answer has been sent. They move the connection's deadline. */
void conn_request_began(int fd);
void conn_request_ended(int fd);

#endif
