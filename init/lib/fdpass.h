/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors along with a message (SCM_RIGHTS, unix(7)). A receiver says how many it takes; a sender that attaches
 * more cannot leave one open in it.
 */
#ifndef INIT_LIB_FDPASS_H
#define INIT_LIB_FDPASS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define FDPASS_MAX 8

/* Sends the parts as one message, whole, with n_fds descriptors; all stay the caller's. 0 or negative errno. */
int fd_send(int socket, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds, int flags);

struct fd_received {
	int fds[FDPASS_MAX];	/* close-on-exec, the caller's to close; -1: none */
	size_t n;
	bool cut;		/* the message was longer than the parts */
	bool dropped;		/* more descriptors came than were taken: the kernel or fd_receive() closed them */
};

/*
 * As recvmsg(): the size of the message, 0 at the end, or negative errno. Takes at most `most` descriptors; with 0 the
 * kernel opens none in this process. It drops those that are not taken, which may wait as the last close(2) does: PID 1
 * uses inbox.h.
 */
ssize_t fd_receive(int socket, struct iovec *parts, size_t n_parts, size_t most, struct fd_received *ret, int flags);

/* Closes the remaining descriptors. */
void fd_close(struct fd_received *received);

#endif
