/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements within.h; the result travels as the exit status, errnos being small. */
#define _GNU_SOURCE
#include "within.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stages/lib/backoff.h"

static int64_t deadline_ms;

void within_begin(int64_t whole_ms)
{
	deadline_ms = time_now_ms() + whole_ms;
}

int64_t within_left_ms(void)
{
	int64_t left = deadline_ms - time_now_ms();

	return left > 0 ? left : 0;
}

int within_start(struct within *child, within_work work, const void *argument)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int r = work(argument);

		_exit(r >= 0 ? 0 : -r < 255 ? -r : EIO);
	}
	child->pid = pid;
	child->fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (child->fd < 0) {	/* no bounded wait without a pidfd */
		int r = -errno;

		kill(pid, SIGKILL);
		child->pid = 0;
		return r;
	}
	return 0;
}

int within_wait(struct within *child, int timeout_ms)
{
	int64_t until = time_now_ms() + timeout_ms;
	struct pollfd p = {.fd = child->fd, .events = POLLIN};
	int status = 0, r;

	for (;;) {
		int64_t left = until - time_now_ms();

		r = poll(&p, 1, left > 0 ? (int)left : 0);
		if (r >= 0 || errno != EINTR)
			break;
	}
	if (r <= 0)
		return -ETIMEDOUT;
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(child->fd);
	child->pid = 0;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

void within_leave(struct within *child)
{
	if (!child->pid)
		return;
	kill(child->pid, SIGKILL);
	close(child->fd);
	child->pid = 0;
}

int within(within_work work, const void *argument, int timeout_ms)
{
	struct within child = {0};
	int r = within_start(&child, work, argument);

	if (r < 0)
		return r;
	r = within_wait(&child, timeout_ms);
	within_leave(&child);
	return r;
}
