/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements run.h. A pidfd and the output's pipe in one poll(): the end is the program's, not its pipe's. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "run.h"

#define PIPE_BYTES 65536	/* pipe(7): the size of one that is not changed */
#define READ_BYTES 4096

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
				lines->text[lines->size++] = bytes[i] ? bytes[i] : ' ';
			continue;
		}
		lines->text[lines->size] = '\0';
		if (lines->size && run->line)
			run->line(run->with, lines->text);
		lines->size = 0;
	}
}

/* Once: a program that never stops printing must not keep its deadline from being looked at. Negative: at the end. */
static ssize_t take_some(const struct run *run, struct lines *lines, int fd)
{
	char bytes[READ_BYTES];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	if (n > 0)
		take(run, lines, bytes, (size_t)n);
	return n > 0 ? n : n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* Reads the rest of the pipe after the program's end, bounded: a process it left running may print for ever. */
static void take_rest(const struct run *run, struct lines *lines, int fd)
{
	for (int i = 0; i <= PIPE_BYTES / READ_BYTES && take_some(run, lines, fd) > 0; i++)
		;
	take(run, lines, "\n", 1);
}

/* The step that failed, with errno; it does not return otherwise. */
static const char *become(const struct run *run, int input, int output, pid_t parent)
{
	const char *failed;

	if (run->deadline_ns)
		setpgid(0, 0);
	if (dup2(output, 1) < 0 || dup2(output, 2) < 0)
		return "output";
	if (dup2(input >= 0 ? input : open("/dev/null", O_RDONLY | O_CLOEXEC), 0) < 0)
		return "input";
	signal(SIGPIPE, SIG_DFL);
	failed = run->prepare ? run->prepare(run->with) : NULL;
	if (failed)
		return failed;
	/* After prepare, because a change of user clears it; and the parent may have ended before. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return "parent death signal";
	if (getppid() != parent)
		_exit(RUN_NOT_EXECUTED);
	execve(run->words[0], run->words, run->environment ? run->environment : environ);
	return run->words[0];
}

/* To wait for: -1, for ever, if when is 0. */
static int milliseconds_to(int64_t when)
{
	int64_t left = (when - run_now_ns() + 999999) / 1000000;

	return when == 0 ? -1 : left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* The earlier of two times, of which 0 is never. */
static int64_t earlier(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* Waits for its end or its deadline; the process is not reaped yet. 0 or -ETIMEDOUT. */
static int attend(const struct run *run, struct lines *lines, pid_t pid, int pidfd, int output)
{
	struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = output, .events = POLLIN}};
	int64_t tick = run->tick_ns ? run_now_ns() + run->tick_ns : 0;

	for (;;) {
		int r = poll(fds, 2, milliseconds_to(earlier(tick, run->deadline_ns)));

		if (r > 0 && fds[1].revents && take_some(run, lines, output) < 0)
			fds[1].fd = -1;
		if (r > 0 && fds[0].revents)
			return 0;
		if (run->deadline_ns && run_now_ns() >= run->deadline_ns)
			return -ETIMEDOUT;
		if (tick && run_now_ns() >= tick) {
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
		kill(run->deadline_ns ? -pid : pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	take_rest(run, &lines, output);
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status) : RUN_KILLED + WTERMSIG(status);
}

int run_program(const struct run *run)
{
	_cleanup_(cleanup_close) int output_read = -1, output_write = -1, input_read = -1, input_write = -1;
	int output[2], input[2];
	pid_t parent = getpid(), pid;

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
	if (pid == 0) {
		const char *failed = become(run, input_read, output_write, parent);

		dprintf(output_write, "%s: %s\n", failed, strerror(errno));
		_exit(RUN_NOT_EXECUTED);
	}
	if (run->deadline_ns)
		setpgid(pid, pid);
	close(output_write);
	output_write = -1;
	return finish(run, pid, output_read);
}
