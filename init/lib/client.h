/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client's side of the control protocol (gantry/control.h): gantryctl, the logger and the API's roles. */
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

/*
 * 0 or negative errno. attached: a descriptor that goes along and stays the caller's; -1: none. A descriptor with
 * O_NONBLOCK never waits: -EAGAIN.
 */
int client_request(int fd, enum control_kind kind, unsigned flags, int64_t argument, const void *body, size_t size);
int client_request_with(int fd, enum control_kind kind, unsigned flags, int64_t argument, const void *body, size_t size,
			int attached);

/*
 * 1: a message; 0: end of file; -EBADMSG: not of this protocol; other negative errno. *ret_attached: a descriptor that
 * came with the message, the caller's to close, or -1.
 */
int client_receive(int fd, struct control_message *ret);
int client_receive_with(int fd, struct control_message *ret, int *ret_attached);

#endif
