/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements inbox.h. The child is a plain clone: it needs the socket itself, which cannot always be sent (the kernel
 * limits how deep sockets may lie in each other's queues). It closes everything but its two sockets first, so that it
 * has numbers free for SCM_MAX_FD descriptors and keeps nothing of PID 1's open if it hangs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdpass.h"
#include "inbox.h"
#include "memfd.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

#define SCM_MAX_FD    253	/* in one message: include/net/scm.h of the kernel */
#define CHILDREN_MAX  64	/* not reaped yet: only those that a file system or a pipe holds stay that long */
#define UNCLOSED_MAX  64
#define PAUSE_MS      2		/* without a child the socket stays readable: the loop must not spin on it */
#define CLOSE_ROUNDS  64
#define DRAIN_SIZE    4096
#define KEEPERS_MAX   16	/* of two sockets, with those that end */
#define KEPT_MAX      (1 << 19)	/* descriptors in a keeper; half of the kernel's own default (fs.nr_open) */
#define KEPT_NS       1000000000LL	/* since the last message */
#define KEEPER_NS     5000000000LL	/* it waits for nothing but a processor */
#define RETRY_NS      20000000LL

enum job {
	REMOVE_ONE,
	REMOVE_ALL,
};

union room {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * SCM_MAX_FD)];
};

enum whose {
	OWN,		/* the peer has this process' user: children, control connections of root */
	OTHERS,
	KEEPERS,
	N_WHOSE
};

static pid_t children[N_WHOSE][CHILDREN_MAX];	/* 0: free */
static int unclosed[UNCLOSED_MAX];	/* sockets that inbox_close() could not empty */
static size_t n_unclosed;

/* ---- the child ------------------------------------------------------------------------------------------------ */

static void keep_only(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

	if (low > 0)
		syscall(SYS_close_range, 0U, low - 1, 0);
	if (low + 1 < high)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, ~0U, 0);
}

static bool is_stream(int socket)
{
	int type = 0;
	socklen_t size = sizeof(type);

	return getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* Receives a message with all its descriptors. Returns their number, the first one in *ret; -1: the queue is empty. */
static int receive_all(int socket, int *ret)
{
	static char bytes[DRAIN_SIZE];
	struct iovec part = {bytes, sizeof(bytes)};
	union room room;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room.bytes,
				 .msg_controllen = sizeof(room.bytes)};
	ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int n = 0;

	if (size < 0)
		return -1;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		n = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(ret, CMSG_DATA(head), sizeof(*ret));
	}
	return size == 0 && (message.msg_controllen == 0 || is_stream(socket)) ? -1 : n;
}

static bool is_wanted(int fd, unsigned kinds)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	/* Seals first: no other file system than that of memfds has them, and so none is asked for more. */
	if ((kinds & INBOX_MEMFD) && memfd_check(fd, SIZE_MAX) == 0)
		return true;
	return (kinds & INBOX_SOCKET) && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
	       domain == AF_UNIX;
}

static void remove_all(int socket)
{
	struct rlimit limit = {.rlim_cur = 1024};
	int fd, n, all = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	do {
		n = receive_all(socket, &fd);
		all += n > 0 ? n : 0;
	} while (n >= 0 && (rlim_t)all + SCM_MAX_FD + 8 < limit.rlim_cur);
}

/* The system call itself: in a test, a sanitizer would look for leaks at _exit(), and may not come back in a clone. */
static _Noreturn void end(void)
{
	for (;;)
		syscall(SYS_exit_group, 0);
}

/* Nothing here waits before the answer; exit(2) closes the descriptors. */
_Noreturn static void remove_messages(int socket, int answer, enum job job, unsigned kinds)
{
	struct iovec part = {(void *)"", 1};
	int fd = -1, n = 0;

	keep_only(socket, answer);
	if (job == REMOVE_ALL)
		remove_all(socket);
	else
		n = receive_all(socket, &fd);
	(void)!fd_send(answer, &part, 1, &fd, n == 1 && is_wanted(fd, kinds), MSG_DONTWAIT);
	end();
}

/* Takes off a message for each byte, says how many descriptors came, and keeps them until the channel ends. */
_Noreturn static void keep_messages(int socket, int channel)
{
	struct rlimit limit = {KEPT_MAX + 2 * SCM_MAX_FD, KEPT_MAX + 2 * SCM_MAX_FD};
	char byte;
	int fd, n;

	keep_only(socket, channel);
	setrlimit(RLIMIT_NOFILE, &limit);
	while (recv(channel, &byte, 1, 0) == 1) {
		n = receive_all(socket, &fd);
		if (send(channel, &n, sizeof(n), MSG_NOSIGNAL) < 0)
			break;
	}
	end();
}

/* ---- PID 1 ----------------------------------------------------------------------------------------------------- */

static enum whose whose(int socket)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof(peer);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid() ? OWN : OTHERS;
}

static pid_t *free_slot(enum whose whose)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (!children[whose][i])
			return &children[whose][i];
	return NULL;
}

void inbox_reaped(pid_t pid)
{
	for (size_t i = 0; i < N_WHOSE * CHILDREN_MAX; i++)
		if (children[i / CHILDREN_MAX][i % CHILDREN_MAX] == pid)
			children[i / CHILDREN_MAX][i % CHILDREN_MAX] = 0;
}

/* 0 and the descriptor that was passed on, or -1; negative errno: it did not answer. */
static int await_answer(pid_t child, int fd, int *ret_fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	struct fd_received received;
	char byte;
	struct iovec part = {&byte, 1};
	ssize_t n;

	while (poll(&poll_fd, 1, INBOX_ANSWER_MS) < 0 && errno == EINTR)
		;
	if (!poll_fd.revents)
		kill(child, SIGKILL);
	n = fd_receive(fd, &part, 1, 1, &received, MSG_DONTWAIT);
	*ret_fd = received.fds[0];
	return n == 1 ? 0 : -ECHILD;
}

/* Has a child remove messages from the socket. 0 and what it passed on, or negative errno. */
static int have_removed(int socket, enum job job, unsigned kinds, int *ret_fd)
{
	struct clone_args args = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
	pid_t *slot = free_slot(whose(socket)), child;
	int pair[2], r;

	*ret_fd = -1;
	if (!slot || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -EAGAIN;
	child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (child == 0)
		remove_messages(socket, pair[1], job, kinds);
	close(pair[1]);
	if (child > 0) {
		*slot = child;
		r = await_answer(child, pair[0], ret_fd);
	} else {
		r = -EAGAIN;
	}
	close(pair[0]);
	return r;
}

/* As recvmsg() with MSG_PEEK; *ret_rights: the message has descriptors. None is opened here, and none closed last. */
static ssize_t look(int socket, struct iovec *parts, size_t n_parts, struct inbox_message *ret, bool *ret_rights)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} room;
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = n_parts, .msg_control = room.bytes,
				 .msg_controllen = sizeof(room.bytes)};
	int passes = 0;
	socklen_t size = sizeof(passes);
	ssize_t n;

	/* Without SO_PASSCRED the kernel would use the sender's room for descriptors. */
	if (getsockopt(socket, SOL_SOCKET, SO_PASSCRED, &passes, &size) < 0 || !passes)
		message.msg_controllen = 0;
	*ret = (struct inbox_message){.fd = -1};
	n = recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	if (passes && message.msg_controllen >= CMSG_LEN(sizeof(ret->sender)) && room.head.cmsg_type == SCM_CREDENTIALS)
		memcpy(&ret->sender, CMSG_DATA(&room.head), sizeof(ret->sender));
	ret->cut = message.msg_flags & MSG_TRUNC;
	*ret_rights = message.msg_flags & MSG_CTRUNC;
	return n;
}

ssize_t inbox_receive(int socket, struct iovec *parts, size_t n_parts, unsigned kinds, struct inbox_message *ret)
{
	bool rights = false;
	ssize_t n = look(socket, parts, n_parts, ret, &rights);

	if (n < 0)
		return n;
	if (!rights) {
		(void)!recv(socket, NULL, 0, MSG_DONTWAIT);
		return n;
	}
	if (have_removed(socket, REMOVE_ONE, kinds, &ret->fd) < 0) {
		poll(NULL, 0, PAUSE_MS);
		return -EAGAIN;
	}
	ret->removed = true;
	return n;
}

static int free_keepers(void)
{
	int n = 0;

	for (size_t i = 0; i < KEEPERS_MAX; i++)
		n += !children[KEEPERS][i];
	return n;
}

/* Whether a keeper can end: it may have to wait, and each socket needs another one then. */
static bool may_end(void)
{
	return free_keepers() >= 2;
}

static void let_go(struct inbox_public *box)
{
	int fd = box->keeper.fd;

	loop_remove(&box->keeper);
	close(fd);
	box->held = 0;
}

static void go_on(struct inbox_public *box)
{
	box->asked = false;
	loop_want(box->from, EPOLLIN);
}

static void answered(struct loop_source *source, uint32_t events)
{
	struct inbox_public *box = (struct inbox_public *)((char *)source - offsetof(struct inbox_public, keeper));
	int n;
	ssize_t size = recv(source->fd, &n, sizeof(n), MSG_DONTWAIT);

	(void)events;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size == sizeof(n))
		box->held += n > 0 ? (unsigned)n : 0;
	if (size != sizeof(n) || (box->held >= KEPT_MAX && may_end()))
		let_go(box);
	loop_arm(&box->timer, loop_now_ns() + KEPT_NS);
	go_on(box);
}

static void rest(struct loop_timer *timer)
{
	struct inbox_public *box = (struct inbox_public *)((char *)timer - offsetof(struct inbox_public, timer));

	if (box->asked) {	/* it got no processor, or somebody stopped it */
		for (size_t i = 0; i < KEEPERS_MAX; i++)
			if (children[KEEPERS][i] == box->pid)
				kill(box->pid, SIGKILL);
		let_go(box);
	} else if (box->keeper.fd >= 0 && may_end()) {
		let_go(box);
	} else if (box->keeper.fd >= 0) {
		loop_arm(timer, loop_now_ns() + KEPT_NS);
	}
	go_on(box);
}

static int start_keeper(struct inbox_public *box)
{
	struct clone_args args = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
	pid_t *slot = free_slot(KEEPERS), child;
	int pair[2], r;

	if (!slot || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -EAGAIN;
	box->keeper.ready = answered;
	r = loop_take(&box->keeper, pair[0], EPOLLIN);
	if (r < 0) {
		close(pair[1]);
		return r;
	}
	child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (child == 0)
		keep_messages(box->from->fd, pair[1]);
	close(pair[1]);
	if (child < 0) {
		let_go(box);
		return -EAGAIN;
	}
	*slot = box->pid = child;
	return 0;
}

/* Has the keeper take off the message at the head. 0 or negative errno. */
static int ask(struct inbox_public *box)
{
	if (box->held >= KEPT_MAX)
		return -EAGAIN;
	if (box->keeper.fd < 0 && start_keeper(box) < 0)
		return -EAGAIN;
	if (send(box->keeper.fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) {
		let_go(box);
		return -EAGAIN;
	}
	box->asked = true;
	return 0;
}

ssize_t inbox_receive_public(struct inbox_public *box, struct iovec *parts, size_t n_parts, struct inbox_message *ret)
{
	bool rights = false;
	ssize_t n;
	int r;

	if (box->asked)
		return -EAGAIN;
	n = look(box->from->fd, parts, n_parts, ret, &rights);
	if (n < 0)
		return n;
	if (!rights) {
		(void)!recv(box->from->fd, NULL, 0, MSG_DONTWAIT);
		return n;
	}
	r = ask(box);
	loop_want(box->from, 0);
	box->timer.fire = rest;
	loop_arm(&box->timer, loop_now_ns() + (r < 0 ? RETRY_NS : KEEPER_NS));
	if (r < 0)
		return -EAGAIN;
	ret->removed = true;
	return n;
}

/* For a socket that was shut down: nothing more arrives. */
static bool is_empty(int socket)
{
	union room room;
	struct msghdr message = {.msg_control = room.bytes, .msg_controllen = CMSG_SPACE(sizeof(struct ucred))};
	int size = 0;

	if (is_stream(socket))
		return ioctl(socket, SIOCINQ, &size) < 0 || size == 0;
	/* A message of no bytes differs from the end: with SO_PASSCRED it has a sender. */
	setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int));
	return recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT) < 0 || message.msg_controllen == 0;
}

/* Returns false if the socket cannot be emptied now. */
static bool empty(int socket)
{
	int none;

	for (int i = 0; i < CLOSE_ROUNDS && !is_empty(socket); i++)
		if (have_removed(socket, REMOVE_ALL, INBOX_NOTHING, &none) < 0)
			return false;
	return is_empty(socket);
}

static void close_those_left(void)
{
	for (size_t i = n_unclosed; i-- > 0;) {
		if (!empty(unclosed[i]))
			continue;
		close(unclosed[i]);
		unclosed[i] = unclosed[--n_unclosed];
	}
}

void inbox_close(int fd)
{
	if (fd < 0)
		return;
	close_those_left();
	if (shutdown(fd, SHUT_RDWR) < 0 || empty(fd))
		close(fd);
	else if (n_unclosed < UNCLOSED_MAX)
		unclosed[n_unclosed++] = fd;	/* any further one stays open */
}
