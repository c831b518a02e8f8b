/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls that may never return, in a process of their own: umount, sync or an ioctl on a device that hangs puts
 * the caller into a sleep that no signal ends. The caller stops waiting after a timeout; the process is left behind,
 * and completes its call if the device recovers.
 */
#ifndef STAGES_TEARDOWN_WITHIN_H
#define STAGES_TEARDOWN_WITHIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WITHIN_BUSY_MS  800	/* how long a busy mount or device may take to be let go */
#define WITHIN_AGAIN_MS 50	/* between two attempts; there is no notification for "no longer busy" */

/* Starts the role's whole time; the second returns the rest of it, at least 0. */
void within_begin(int64_t whole_ms);
int64_t within_left_ms(void);

/* In the child: 0 or negative errno. */
typedef int (*within_work)(const void *argument);

struct within {
	pid_t pid;	/* 0: none */
	int fd;		/* its pidfd */
};

/* Starts work(argument). 0 or negative errno: nothing was started. */
int within_start(struct within *child, within_work work, const void *argument);

/* Waits at most timeout_ms. The result of work, -ETIMEDOUT (it still runs; ask again), or -EIO if it was killed. */
int within_wait(struct within *child, int timeout_ms);

/* Gives up waiting for it: asks it to end and forgets it. */
void within_leave(struct within *child);

/* Start, wait and leave in one: the result of work, or -ETIMEDOUT and the child was left behind. */
int within(within_work work, const void *argument, int timeout_ms);

#endif
