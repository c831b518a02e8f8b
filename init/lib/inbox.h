/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages whose senders PID 1 does not trust, over Unix sockets. A sender can attach a descriptor that makes close(2)
 * wait as long as it likes: the last close of a TCP socket with SO_LINGER, of a socket in whose queue such a one lies,
 * every close of a file whose file system does not answer. So no descriptor enters PID 1 unseen. A message is looked at
 * first (MSG_PEEK, without room for descriptors: the queue keeps them). One with descriptors is removed by a child, a
 * clone of PID 1, which passes on what was asked for, answers, and exits with the rest. An exiting process does not
 * linger, and if it waits for a file system or for a pipe that somebody holds, it waits alone.
 *
 * The number of those that wait is bounded, apart for peers that have this process' user and for everybody else: whom
 * the kernel knows as the peer (SO_PEERCRED) counts, so everybody's datagrams are of the others.
 */
#ifndef INIT_LIB_INBOX_H
#define INIT_LIB_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "loop.h"

/* Kinds of descriptors that a caller can ask for; a set. */
enum inbox_kind {
	INBOX_NOTHING = 0,
	INBOX_MEMFD = 1,	/* sealed (memfd.h) */
	INBOX_SOCKET = 2,	/* a Unix socket; its queue is not known: close it with inbox_close() */
};

struct inbox_message {
	int fd;			/* the one attached descriptor, of a kind that was asked for, the caller's; -1: none */
	struct ucred sender;	/* from a socket with SO_PASSCRED; else pid 0 */
	bool cut;		/* the message was longer than the parts */
	bool removed;		/* it had descriptors: a child removed it, and all of them that are not in fd */
};

/*
 * As recvmsg() with MSG_DONTWAIT, from a datagram or SOCK_SEQPACKET socket that only the caller reads: the size of the
 * message, 0 also at the end, or negative errno. It waits only for the child, which can wait for nothing before it
 * answers: as for the fork server, INBOX_ANSWER_MS at most. -EAGAIN also if no child can be made now: the message
 * stays.
 */
ssize_t inbox_receive(int socket, struct iovec *parts, size_t n_parts, unsigned kinds, struct inbox_message *ret);

#define INBOX_ANSWER_MS 1000

/* A datagram socket that everybody sends to, and the process that keeps what came with the messages. */
struct inbox_public {
	struct loop_source *from;	/* the socket, in the loop for EPOLLIN */
	struct loop_source keeper;	/* fd -1: there is none */
	struct loop_timer timer;
	pid_t pid;			/* the keeper */
	unsigned held;			/* descriptors in it */
	bool asked;			/* it takes a message off; meanwhile nobody else reads */
};

#define INBOX_PUBLIC_INIT(socket) {.from = (socket), .keeper = LOOP_SOURCE_INIT}

/*
 * As inbox_receive() with INBOX_NOTHING, but it waits for nobody: the descriptors stay in a process that closes none of
 * them. -EAGAIN also while that one takes a message off: the socket is not waited for until it has. When no more come,
 * the process ends, and another one begins if need be; of those that wait in their end few are left, then the last one
 * stays.
 */
ssize_t inbox_receive_public(struct inbox_public *box, struct iovec *parts, size_t n_parts, struct inbox_message *ret);

/*
 * Ends the connection, for all who have the socket, and closes it: what is in its queue is removed by a child. Any
 * other descriptor is only closed. -1: does nothing.
 */
void inbox_close(int fd);

/* Call for each reaped process that is in no other table. */
void inbox_reaped(pid_t pid);

#endif
