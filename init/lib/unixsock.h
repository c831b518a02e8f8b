/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A socket of PID 1's in the file system that every process may speak to. Who speaks is told by the kernel. */
#ifndef INIT_LIB_UNIXSOCK_H
#define INIT_LIB_UNIXSOCK_H

/*
 * Bound to path with mode 0666, in place of what was there; it never blocks. type: SOCK_SEQPACKET, or SOCK_DGRAM, whose
 * every datagram comes with its sender's credentials. The descriptor or negative errno.
 */
int unixsock_bind(const char *path, int type);

#endif
