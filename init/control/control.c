/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements control.h: the listening socket, the fixed table of connections, and the connections that Gantry's roles
 * inherit. Requests are in request.c, answers in answer.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "init/event/event.h"
#include "init/lib/inbox.h"
#include "init/lib/loop.h"
#include "init/lib/unixsock.h"

#define ACCEPTED_MAX     32
#define ADOPTED_MAX      8
#define CONNECTIONS_MAX  (ACCEPTED_MAX + ADOPTED_MAX)	/* the adopted ones last */
#define BACKLOG          64
#define ACCEPTS_A_TURN   16
#define REQUESTS_A_TURN  16
#define ACCEPT_PAUSE_NS  1000000000

static struct connection connections[CONNECTIONS_MAX];
static struct loop_source listener = LOOP_SOURCE_INIT;
static struct loop_timer accept_timer;
static uid_t reader_uid = (uid_t)-1;

static void ready(struct loop_source *source, uint32_t events)
{
	struct connection *c = (struct connection *)source;

	if (!connection_pump(c) || !(events & ~EPOLLOUT))
		return;
	for (int i = 0; i < REQUESTS_A_TURN && c->answer == ANSWER_NONE; i++) {
		if (connection_receive(c) <= 0 || !connection_pump(c))
			return;
	}
	if (c->answer != ANSWER_NONE && (events & (EPOLLHUP | EPOLLERR)) && c->source.fd >= 0)
		connection_drop(c);	/* the peer hung up before its answer */
}

static void wake(void)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &connections[i];

		if (c->source.fd >= 0 && c->following && connection_events_due(c))
			loop_want(&c->source, c->source.events | EPOLLOUT);
	}
}

static int add(size_t from, size_t to, int fd, unsigned permissions, const char *role, const char *source, pid_t pid)
{
	for (size_t i = from; i < to; i++) {
		struct connection *c = &connections[i];

		if (c->source.fd >= 0)
			continue;
		*c = (struct connection){.source = {.fd = -1, .ready = ready}, .permissions = permissions,
					 .role = role, .event_source = source, .pid = pid, .active_ns = loop_now_ns(),
					 .hands = {-1, -1, -1}};
		return loop_add(&c->source, fd, EPOLLIN);
	}
	return -EBUSY;
}

/* The connection idle longest is closed first; only root and the API have any. */
static void drop_idlest(void)
{
	struct connection *idlest = &connections[0];

	for (size_t i = 1; i < ACCEPTED_MAX; i++)
		if (connections[i].active_ns < idlest->active_ns)
			idlest = &connections[i];
	connection_drop(idlest);
}

static void admit(int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof(peer);
	unsigned permissions = 0;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		permissions = peer.uid == 0 ? CONTROL_MAY_READ | CONTROL_MAY_POST | CONTROL_MAY_CONTROL :
			      peer.uid == reader_uid && reader_uid != (uid_t)-1 ? CONTROL_MAY_READ : 0;
	r = permissions ? add(0, ACCEPTED_MAX, fd, permissions, NULL, NULL, peer.pid) : -EPERM;
	if (r == -EBUSY) {
		drop_idlest();
		r = add(0, ACCEPTED_MAX, fd, permissions, NULL, NULL, peer.pid);
	}
	if (r < 0) {
		connection_end(fd, r);
		inbox_close(fd);
	}
}

static void accept_again(struct loop_timer *timer)
{
	(void)timer;
	loop_want(&listener, EPOLLIN);
}

static void accept_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN) {	/* no descriptor or no memory: the listener would be ready again at once */
			event_count_drop("control");
			loop_want(source, 0);
			loop_arm(&accept_timer, loop_now_ns() + ACCEPT_PAUSE_NS);
		}
		return;
	}
}

static int listen_on(const char *path)
{
	int fd = unixsock_bind(path, SOCK_SEQPACKET), r;

	if (fd >= 0 && listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void init_table(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		connections[i].source.fd = -1;
	event_on_add(wake);
}

int control_init(const char *path, uid_t api_uid, const struct control_table *table)
{
	int r;

	init_table();
	connection_requests(table);
	reader_uid = api_uid;
	accept_timer.fire = accept_again;
	listener.ready = accept_ready;
	r = loop_take(&listener, listen_on(path), EPOLLIN);
	if (r < 0)
		event_say(EVENT_ERROR, "gantry", "cannot listen on control socket %s: %s", path, strerror(-r));
	return r;
}

int control_adopt(int fd, unsigned permissions, const char *role, const char *source)
{
	int r;

	init_table();
	r = add(ACCEPTED_MAX, CONNECTIONS_MAX, fd, permissions, role, source, 0);
	if (r < 0)
		inbox_close(fd);
	return r;
}

void control_hand(const char *role, enum control_hand hand, int fd)
{
	for (size_t i = ACCEPTED_MAX; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &connections[i];

		if (c->source.fd < 0 || c->closing || strcmp(c->role, role) != 0)
			continue;
		inbox_close(c->hands[hand]);
		c->hands[hand] = fd;
		loop_want(&c->source, c->source.events | EPOLLOUT);
		return;
	}
	inbox_close(fd);
}

void control_close_subscribers(void)
{
	connection_end_following();
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &connections[i];

		if (c->source.fd < 0 || !c->following)
			continue;
		c->closing = true;
		c->last = event_last();
		connection_pump(c);
	}
}

bool control_draining(void)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (connections[i].source.fd >= 0 && connections[i].closing)
			return true;
	return false;
}
