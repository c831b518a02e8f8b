/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of a disk are parsed by a child, one for each question, so that a fault of a parser gives the host a process
 * that can do nothing: user `gantry-disk`, no capability, one read-only descriptor or none, and no system call that
 * opens, connects, writes or starts anything. It answers in memory that it shares with the stage, which reads that only
 * when the child has ended, and checks what it reads: the child may have been the host's.
 */
#ifndef STAGES_DISK_READER_H
#define STAGES_DISK_READER_H

#include <stddef.h>

#define READER_WHY_MAX 80

struct reader_task {
	/*
	 * In the child: reads the question, which is memory of the stage as it was at the fork, or the descriptor, and
	 * fills in the answer, which is zero before. It opens nothing.
	 */
	void (*read)(int fd, const void *question, void *answer);
	int fd;			/* -1: none. The host sees which places are read, so only before there is a key */
	const void *question;
	void *answer;		/* untouched on failure */
	size_t size;
};

/*
 * 0: there is an answer. -EBADMSG: the child ended without one, by a signal or its limits; -EAGAIN: it was killed, as
 * for want of memory; -ETIMEDOUT: it took too long; any other errno: it could not be started with no more rights than
 * that. why says which.
 */
int reader_ask(const struct reader_task *task, char why[READER_WHY_MAX]);

#endif
