/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client side of the control protocol, blocking; for gantryctl and the logger. The API has its own loop. */
#ifndef INIT_LIB_CLIENT_H
#define INIT_LIB_CLIENT_H

#include <stddef.h>

#include <gantry/control.h>

struct control_message {
	struct control_head head;
	char body[CONTROL_BODY_MAX + 1];	/* NUL after the last byte */
};

/* The descriptor, or negative errno. */
int client_connect(const char *path);

/* 0 or negative errno. */
int client_request(int fd, enum control_kind kind, unsigned flags, int64_t argument, const void *body, size_t size);

/* 1: a message; 0: end of file; -EBADMSG: not of this protocol; other negative errno. */
int client_receive(int fd, struct control_message *ret);

#endif
