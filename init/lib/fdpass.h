/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Passing one descriptor with a message (SCM_RIGHTS, unix(7)). */
#ifndef INIT_LIB_FDPASS_H
#define INIT_LIB_FDPASS_H

#include <string.h>
#include <sys/socket.h>

/* Room for one descriptor, zeroed before use; the kernel closes further ones. */
union fd_room {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static inline void fd_expect(struct msghdr *message, union fd_room *room)
{
	message->msg_control = room->bytes;
	message->msg_controllen = sizeof(room->bytes);
}

static inline void fd_attach(struct msghdr *message, union fd_room *room, int fd)
{
	room->head.cmsg_level = SOL_SOCKET;
	room->head.cmsg_type = SCM_RIGHTS;
	room->head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&room->head), &fd, sizeof(int));
	fd_expect(message, room);
}

/* The descriptor that came with a received message, the caller's to close; -1: none. */
static inline int fd_attached(struct msghdr *message)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(message);
	int fd;

	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len < CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(head), sizeof(int));
	return fd;
}

#endif
