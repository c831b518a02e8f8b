/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements forkserver.h. One datagram and one answer for each start, over a socket pair that only the two have; PID 1
 * waits for the answer, which takes no longer than forking by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "forkserver.h"
#include "image.h"
#include "init/event/event.h"
#include "init/lib/fdpass.h"
#include "init/lib/loop.h"

#define FDS_MAX 6

/* Attached descriptors are in the order of struct birth, those that every child has (1 to 3) first. */
struct request {
	uint8_t n_args;
	bool service, options, payload, cgroup;
	/* argv, then the service's object: NUL-terminated strings */
};

static char bytes[FORKSERVER_SIZE_MAX];	/* of one request; PID 1 and the fork server each have a copy */
static int server_fd = -1;
static pid_t server;
static struct loop_timer again;
static void (*prepare)(void);
static bool ending;	/* forkserver_end() was called */

/* ---- the process ---------------------------------------------------------------------------------------------- */

static int next_fd(const int *fds, size_t n, size_t *at, bool there)
{
	return there && *at < n ? fds[(*at)++] : -1;
}

/* Returns false if the request is malformed. */
static bool decode(size_t size, const int *fds, size_t n_fds, const char **argv, struct birth *ret)
{
	struct request request;
	const char *at = bytes + sizeof(request), *end = bytes + size;
	size_t fd = 0;

	if (size <= sizeof(request) || end[-1])
		return false;
	memcpy(&request, bytes, sizeof(request));
	for (size_t i = 0; i < request.n_args && i < BIRTH_ARGS_MAX && at < end; i++, at += strlen(at) + 1)
		argv[i] = at;
	*ret = (struct birth){.argv = argv, .service = request.service && at < end ? at : NULL};
	ret->out_fd = next_fd(fds, n_fds, &fd, true);
	ret->err_fd = next_fd(fds, n_fds, &fd, true);
	ret->channel_fd = next_fd(fds, n_fds, &fd, true);
	ret->options_fd = next_fd(fds, n_fds, &fd, request.options);
	ret->payload_fd = next_fd(fds, n_fds, &fd, request.payload);
	ret->cgroup_fd = next_fd(fds, n_fds, &fd, request.cgroup);
	return ret->channel_fd >= 0;
}

/* Kept open, since opening it for each child costs more. /dev is not mounted yet when this process starts. */
static int null_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd;
}

static pid_t serve_one(int fd)
{
	const char *argv[BIRTH_ARGS_MAX + 1] = {NULL};
	struct iovec part = {bytes, sizeof(bytes)};
	struct fd_received received;
	ssize_t n = fd_receive(fd, &part, 1, FDS_MAX, &received, 0);
	struct birth birth;
	pid_t pid = -EPROTO;

	if (n <= 0)
		_exit(0);	/* PID 1 closed its end */
	if (decode((size_t)n, received.fds, received.n, argv, &birth)) {
		birth.null_fd = null_fd();
		pid = birth.null_fd < 0 ? -errno : birth_clone(&birth, true);
	}
	fd_close(&received);
	return pid;
}

_Noreturn static void serve(int fd)
{
	prctl(PR_SET_NAME, "forkserver");
	birth_default_signals();
	birth_close(6, (unsigned)fd - 1);	/* 0 to 5 are reserved: init/pid1/init.c */
	birth_close((unsigned)fd + 1, ~0U);
	prepare();
	for (;;) {
		pid_t pid = serve_one(fd);

		send(fd, &pid, sizeof(pid), MSG_NOSIGNAL);
	}
}

/* ---- PID 1 ----------------------------------------------------------------------------------------------------- */

static void begin(void)
{
	const struct timeval answer = {.tv_sec = FORKSERVER_ANSWER_MS / 1000,
				       .tv_usec = FORKSERVER_ANSWER_MS % 1000 * 1000};
	int pair[2];

	if (server_fd >= 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	server = fork();
	if (server == 0) {
		close(pair[0]);
		serve(pair[1]);
	}
	close(pair[1]);
	if (server > 0 && setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &answer, sizeof(answer)) == 0)
		server_fd = pair[0];
	else
		close(pair[0]);
}

void forkserver_begin(void (*with)(void))
{
	prepare = with;
	begin();
}

static void begin_again(struct loop_timer *timer)
{
	(void)timer;
	begin();
}

static void lost(void)
{
	close(server_fd);
	server_fd = -1;
	again.fire = begin_again;
	loop_arm(&again, loop_now_ns() + FORKSERVER_AGAIN_NS);
}

/* The request was sent, and no answer came in time or can come. */
static pid_t unanswered(int error)
{
	if (error == ETIMEDOUT)
		event_say(EVENT_ERROR, "gantry", "the fork server did not answer within %d ms, killing it",
			  FORKSERVER_ANSWER_MS);
	if (server > 0)
		kill(server, SIGKILL);
	lost();
	return -error;
}

static pid_t answer(void)
{
	pid_t pid;
	ssize_t n;

	do
		n = recv(server_fd, &pid, sizeof(pid), 0);
	while (n < 0 && errno == EINTR);
	if (n == sizeof(pid))
		return pid;
	return unanswered(n < 0 && errno == EAGAIN ? ETIMEDOUT : ECONNRESET);
}

/* Appends a string; returns the new size, or more than FORKSERVER_SIZE_MAX. */
static size_t put(size_t at, const char *string)
{
	size_t n = strlen(string) + 1;

	if (n > FORKSERVER_SIZE_MAX - at)
		return FORKSERVER_SIZE_MAX + 1;
	memcpy(bytes + at, string, n);
	return at + n;
}

/* Writes the request to `bytes`; returns its size, or more than FORKSERVER_SIZE_MAX. */
static size_t encode(const struct birth *birth)
{
	struct request request = {
		.service = birth->service, .options = birth->options_fd >= 0, .payload = birth->payload_fd >= 0,
		.cgroup = birth->cgroup_fd >= 0,
	};
	size_t n = sizeof(request);

	for (; birth->argv[request.n_args] && n <= FORKSERVER_SIZE_MAX; request.n_args++)
		n = put(n, birth->argv[request.n_args]);
	if (birth->service && n <= FORKSERVER_SIZE_MAX)
		n = put(n, birth->service);
	memcpy(bytes, &request, sizeof(request));
	return n;
}

/* Returns false if the request could not be sent: no child was started. */
static bool send_request(const struct birth *birth)
{
	const int all[FDS_MAX] = {birth->out_fd, birth->err_fd, birth->channel_fd, birth->options_fd,
				  birth->payload_fd, birth->cgroup_fd};
	int fds[FDS_MAX];
	size_t n_fds = 0;
	struct iovec part = {bytes, encode(birth)};
	int r;

	if (part.iov_len > FORKSERVER_SIZE_MAX)
		return false;
	for (size_t i = 0; i < FDS_MAX; i++)
		if (all[i] >= 0)
			fds[n_fds++] = all[i];
	r = fd_send(server_fd, &part, 1, fds, n_fds, MSG_DONTWAIT);
	if (r == -EPIPE || r == -ECONNRESET)
		lost();
	return r == 0;
}

static pid_t fork_here(struct birth birth)
{
	pid_t pid;

	birth.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (birth.null_fd < 0)
		return -errno;
	pid = birth_clone(&birth, false);
	close(birth.null_fd);
	return pid;
}

pid_t forkserver_start(const struct birth *birth)
{
	if (server_fd < 0 || !send_request(birth))
		return fork_here(*birth);
	return answer();
}

bool forkserver_reaped(pid_t pid, int status)
{
	if (server <= 0 || pid != server)
		return false;
	server = 0;
	if (!ending)
		event_say(EVENT_WARNING, "gantry", "the fork server exited (%s %d); PID 1 forks without it",
			  WIFSIGNALED(status) ? "signal" : "status",
			  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (server_fd >= 0)
		lost();
	return true;
}

void forkserver_end(void)
{
	ending = true;
	loop_disarm(&again);
	if (server_fd >= 0)
		close(server_fd);
	server_fd = -1;
}
