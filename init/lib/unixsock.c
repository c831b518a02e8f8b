/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements unixsock.h. SO_PASSCRED is set before bind(), so no datagram arrives without credentials; and accepted
 * sockets have SO_PASSRIGHTS from their listener.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "unixsock.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

int unixsock_bind(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){0}, sizeof(int));	/* older kernels: inbox.h */
	if ((type == SOCK_DGRAM && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) < 0) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}
