/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What RFC 9112 says that a server MUST refuse or take, and libmicrohttpd does not: more than one Content-Length, Host
 * or Transfer-Encoding, and the latter in HTTP/1.0 (each is a way to have two servers disagree about where a request
 * ends); names that are not tokens; targets in absolute form.
 */
#ifndef INIT_API_MESSAGE_H
#define INIT_API_MESSAGE_H

#include <microhttpd.h>

/* NULL, or what is wrong with a request's head, for people. */
const char *message_fault(struct MHD_Connection *connection, const char *method, const char *version);

/* Likewise with the fields behind a chunked body, once it is there. */
const char *message_trailer_fault(struct MHD_Connection *connection);

/* The path of a request's target: in it, or "/". NULL: the target is neither a path nor a URL, nor "*". */
const char *message_path(const char *target);

#endif
