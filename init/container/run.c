/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements run.h. A pidfd and the output's pipe in one poll(): the end is the program's, not its pipe's. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "run.h"

struct lines {
	char text[RUN_LINE_MAX];
	size_t size;
};

int64_t run_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void take(const struct run *run, struct lines *lines, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != '\n') {
			if (lines->size < sizeof(lines->text) - 1)
				lines->text[lines->size++] = bytes[i];
			continue;
		}
		lines->text[lines->size] = '\0';
		if (lines->size && run->line)
			run->line(run->with, lines->text);
		lines->size = 0;
	}
}

/* Until there is nothing more now. False: at the end. */
static bool drain(const struct run *run, struct lines *lines, int fd)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		take(run, lines, bytes, (size_t)n);
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* In the child: a process group of its own, so that what it has started ends with it; and it ends with its parent. */
_Noreturn static void become(const struct run *run, int input, int output)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if ((input >= 0 && dup2(input, 0) < 0) || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(127);
	execve(run->words[0], run->words, run->environment);
	dprintf(2, "%s: %s\n", run->words[0], strerror(errno));
	_exit(127);
}

static int milliseconds_to(int64_t when)
{
	int64_t left = (when - run_now_ns() + 999999) / 1000000;

	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* Waits for its end or its deadline; the process is not reaped yet. 0 or -ETIMEDOUT. */
static int attend(const struct run *run, struct lines *lines, pid_t pid, int pidfd, int output)
{
	struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = output, .events = POLLIN}};
	int64_t tick = run->tick_ns ? run_now_ns() + run->tick_ns : INT64_MAX;

	for (;;) {
		int64_t next = tick < run->deadline_ns ? tick : run->deadline_ns;
		int r = poll(fds, 2, milliseconds_to(next));

		if (r > 0 && fds[1].revents && !drain(run, lines, output))
			fds[1].fd = -1;
		if (r > 0 && fds[0].revents)
			return 0;
		if (run_now_ns() >= run->deadline_ns)
			return -ETIMEDOUT;
		if (run_now_ns() >= tick) {
			run->tick(run->with, pid);
			tick += run->tick_ns;
		}
	}
}

static int finish(const struct run *run, pid_t pid, int output)
{
	_cleanup_(cleanup_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct lines lines = {.size = 0};
	int status = 0, r = pidfd < 0 ? -errno : attend(run, &lines, pid, pidfd, output);

	if (r < 0)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	drain(run, &lines, output);
	take(run, &lines, "\n", 1);
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_program(const struct run *run)
{
	_cleanup_(cleanup_close) int output_read = -1, output_write = -1, input_read = -1, input_write = -1;
	int output[2], input[2];
	pid_t pid;

	if (pipe2(output, O_CLOEXEC) < 0)
		return -errno;
	output_read = output[0];
	output_write = output[1];
	if (fcntl(output_read, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	if (run->input) {
		if (pipe2(input, O_CLOEXEC) < 0)
			return -errno;
		input_read = input[0];
		input_write = input[1];
		if (write(input_write, run->input, run->input_size) != (ssize_t)run->input_size)
			return -EIO;
		close(input_write);
		input_write = -1;
	}
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(run, input_read, output_write);
	setpgid(pid, pid);
	close(output_write);
	output_write = -1;
	return finish(run, pid, output_read);
}
