/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements relay.h, PID 1's side. An order is one datagram that does not wait. A relay that does not live long is not
 * started again without end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/event/event.h"
#include "init/lib/bucket.h"
#include "init/lib/fdpass.h"
#include "init/lib/loop.h"
#include "relay.h"

#define FIFO_QUEUE     (512 * 1024)	/* bytes; the socket of a FIFO, which has many writers */
#define REAP_NS        100000000LL
#define HELD_MAX       256	/* after relay_close(), of all owners */
#define HELD_EACH_MAX  4	/* of one */

static const struct bucket_limit limit = {.per_s = 1, .burst = 32};	/* of starts */

struct held {
	struct loop_source source;
	const char *owner;
};

static void (*serve)(int channel);
static struct loop_source channel = LOOP_SOURCE_INIT;
static int channel_fd = -1;
static pid_t relay;
static struct loop_timer reap_timer;
static struct bucket begun;
static bool watched;
static bool swept;
static struct held helds[HELD_MAX];

/* ---- the process ------------------------------------------------------------------------------------------------- */

static void begin(void)
{
	/* No exit signal: then it is no child that waitpid(2) without __WALL sees, and PID 1 can end while it lives. */
	struct clone_args args = {.exit_signal = 0};
	int pair[2];

	if (!serve || !bucket_take(&begun, &limit, loop_now_ns()) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	relay = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (relay == 0)
		serve(pair[1]);
	close(pair[1]);
	if (relay < 0) {
		close(pair[0]);
		relay = 0;
		return;
	}
	channel_fd = pair[0];
	if (watched)
		(void)loop_add(&channel, channel_fd, EPOLLIN);
}

void relay_begin(void (*with)(int channel))
{
	serve = with;
	begin();
}

void relay_reap(void)
{
	/* Only it is a "clone" child (wait(2)). One with a thread that waits for a pipe stays, as a dead one. */
	while (waitpid(-1, NULL, __WCLONE | WNOHANG) > 0)
		;
}

static void reap_later(struct loop_timer *timer)
{
	(void)timer;
	relay_reap();
}

static void lost(void)
{
	loop_remove(&channel);
	close(channel_fd);
	channel_fd = -1;
	kill(relay, SIGKILL);
	relay = 0;
	reap_timer.fire = reap_later;
	loop_arm(&reap_timer, loop_now_ns() + REAP_NS);
	if (!swept)
		event_say(EVENT_ERROR, "gantry", "the relay of the processes' output has ended; another one goes on");
	swept = false;
	begin();
}

static void channel_ready(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	lost();
}

int relay_watch(void)
{
	channel.ready = channel_ready;
	watched = true;
	return channel_fd < 0 ? -ECHILD : loop_add(&channel, channel_fd, EPOLLIN);
}

void relay_swept(void)
{
	swept = true;
}

pid_t relay_pid(void)
{
	return relay;
}

/* ---- pipes ------------------------------------------------------------------------------------------------------- */

static int send_order(const struct relay_pipe *pipe, int socket)
{
	struct relay_order order = {.writer = pipe->write_fd >= 0};
	struct iovec part = {&order, sizeof(order)};

	return channel_fd < 0 ? -EPIPE :
	       fd_send(channel_fd, &part, 1, (const int[]){pipe->read_fd, socket, pipe->write_fd}, order.writer ? 3 : 2,
		       MSG_DONTWAIT);
}

/* Has the relay read the pipe: sets its socket. 0 or negative errno. */
static int pass(struct relay_pipe *pipe)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	if (pipe->write_fd < 0)
		(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUFFORCE, &(int){FIFO_QUEUE}, sizeof(int));
	r = send_order(pipe, pair[1]);
	if (r == -EPIPE || r == -ECONNRESET) {
		if (channel_fd >= 0)
			lost();
		else
			begin();
		r = send_order(pipe, pair[1]);
	}
	close(pair[1]);
	if (r < 0)
		close(pair[0]);
	else
		pipe->socket = pair[0];
	return r == -EPIPE ? -EAGAIN : r;
}

static void close_ends(struct relay_pipe *pipe)
{
	if (pipe->read_fd >= 0)
		close(pipe->read_fd);
	if (pipe->write_fd >= 0)
		close(pipe->write_fd);
	pipe->read_fd = pipe->write_fd = -1;
}

static int open_with(struct relay_pipe *pipe, int read_fd, int write_fd)
{
	int r;

	*pipe = (struct relay_pipe){-1, read_fd, write_fd};
	r = pass(pipe);
	if (r < 0)
		close_ends(pipe);
	return r;
}

int relay_open(struct relay_pipe *ret)
{
	int pair[2];

	*ret = (struct relay_pipe)RELAY_PIPE_NONE;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	/* Of this end alone: programs expect a usual pipe. */
	(void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
	return open_with(ret, pair[0], pair[1]);
}

int relay_open_fifo(struct relay_pipe *ret, int fd)
{
	return open_with(ret, fd, -1);
}

void relay_alone(struct relay_pipe *pipe)
{
	close_ends(pipe);
	(void)send(pipe->socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int relay_again(struct relay_pipe *pipe)
{
	close(pipe->socket);
	pipe->socket = -1;
	return pass(pipe);
}

enum relay_word relay_receive(int socket, const char **ret, size_t *ret_size)
{
	static char message[1 + RELAY_BYTES_MAX];
	ssize_t n;

	do
		n = recv(socket, message, sizeof(message), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return RELAY_NOTHING;
	if (n <= 0 || message[0] < 0 || message[0] >= RELAY_END)
		return RELAY_END;
	*ret = message + 1;
	*ret_size = (size_t)n - 1;
	return (enum relay_word)message[0];
}

void relay_finish(struct relay_pipe *pipe)
{
	close_ends(pipe);
	shutdown(pipe->socket, SHUT_WR);
}

/* ---- those that are held ----------------------------------------------------------------------------------------- */

static void held_ready(struct loop_source *source, uint32_t events)
{
	const char *bytes;
	size_t size;
	int fd = source->fd;

	(void)events;
	if (relay_receive(fd, &bytes, &size) != RELAY_END)
		return;
	loop_remove(source);
	close(fd);
}

void relay_close(struct relay_pipe *pipe, bool held, const char *owner)
{
	int socket = pipe->socket;

	relay_finish(pipe);
	pipe->socket = -1;
	if (socket < 0)
		return;
	for (size_t i = 0; held && i < HELD_MAX; i++) {
		if (helds[i].owner && helds[i].source.fd >= 0)
			continue;
		helds[i] = (struct held){.source = {.fd = -1, .ready = held_ready}, .owner = owner};
		if (loop_add(&helds[i].source, socket, EPOLLIN) == 0)
			return;
		break;
	}
	close(socket);
}

bool relay_may(const char *owner)
{
	size_t n = 0;

	for (size_t i = 0; i < HELD_MAX; i++)
		n += helds[i].owner && helds[i].source.fd >= 0 && !strcmp(helds[i].owner, owner);
	return n < HELD_EACH_MAX;
}
