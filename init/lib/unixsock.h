/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Unix socket of PID 1 that every process may connect to. The kernel identifies the peer. */
#ifndef INIT_LIB_UNIXSOCK_H
#define INIT_LIB_UNIXSOCK_H

/*
 * Binds a non-blocking socket to path, with mode 0666, replacing an existing file. type: SOCK_SEQPACKET, or SOCK_DGRAM,
 * which delivers the sender's credentials with each datagram. Whoever attaches a descriptor to a message gets EPERM
 * (Linux 6.16; before, it arrives: inbox.h). The descriptor or negative errno.
 */
int unixsock_bind(const char *path, int type);

#endif
