/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes between a TLS session and the HTTP server. Each direction has one small buffer and reads only when it is
 * empty, so a peer that does not read or write stops only itself. When all places are taken, the connection that has
 * waited longest without a request makes room: half-open connections in any number do not keep a good client out.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../loop.h"
#include "conn.h"
#include "tls.h"

#define SECOND_NS       1000000000LL
#define HANDSHAKE_NS    (10 * SECOND_NS)	/* the whole of it */
#define REQUEST_NS      (30 * SECOND_NS)	/* idle, and the whole of a request's head */
#define ANSWER_NS       (60 * SECOND_NS)	/* request's body and our thinking */
#define PROGRESS_NS     (30 * SECOND_NS)	/* between two pieces that the client takes of an answer */
#define LINGER_NS       (2 * SECOND_NS)
#define LISTEN_AGAIN_NS SECOND_NS
#define BUFFER_SIZE     4096
#define ROUNDS_A_TURN   16
#define ACCEPTS_A_TURN  32
#define BACKLOG         4096	/* a burst waits here; what does not fit would try again only after a second */
#define FDS_MAX         4096

enum phase {
	PHASE_HANDSHAKE,
	PHASE_WAITING,		/* for a request */
	PHASE_ANSWERING,
	PHASE_LINGERING,	/* all said; what the client still sends is read, so that it gets our last words */
};

struct buffer {
	size_t size, done;
	unsigned char bytes[BUFFER_SIZE];
};

struct conn {
	struct loop_source net, http;
	struct loop_timer deadline;
	struct conn *next, *previous;	/* oldest first */
	int fd;
	int http_fd;			/* ours, -1: closed */
	int http_peer;			/* HTTP's number of its end, -1: not handed over */
	struct sockaddr_storage peer;
	socklen_t peer_size;
	enum phase phase;
	bool net_ended, http_ended, http_told;
	bool write_blocked;		/* TLS waits for room in the socket */
	bool more;			/* out of turn, not out of bytes */
	struct buffer in, out;		/* plain text: in from the client, out to it */
	mbedtls_ssl_context ssl;
};

static struct conn *oldest, *newest;
static size_t n_conns;
static struct conn *by_http[FDS_MAX];	/* HTTP's end -> connection */
static conn_handover *hand_over;
static void (*tell)(int result);
static int told;
static struct loop_source listener = LOOP_SOURCE_INIT;
static struct loop_timer listen_timer;
static struct sockaddr_storage listen_address;
static socklen_t listen_size;

#define of(pointer, member) ((struct conn *)((char *)(pointer) - offsetof(struct conn, member)))

static void destroy(struct conn *c)
{
	loop_remove(&c->net);
	loop_remove(&c->http);
	loop_disarm(&c->deadline);
	*(c->previous ? &c->previous->next : &oldest) = c->next;
	*(c->next ? &c->next->previous : &newest) = c->previous;
	n_conns--;
	/* HTTP may have closed its end, and the number be in use again. */
	if (c->http_peer >= 0 && by_http[c->http_peer] == c)
		by_http[c->http_peer] = NULL;
	if (c->http_fd >= 0)
		close(c->http_fd);
	close(c->fd);
	mbedtls_ssl_free(&c->ssl);
	free(c);
}

static void give_time(struct conn *c, int64_t ns)
{
	loop_arm(&c->deadline, loop_now_ns() + ns);
}

static void http_ready(struct loop_source *source, uint32_t events);

/* The TLS session stands: now HTTP gets to know of the client. */
static int begin_http(struct conn *c)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	c->http_fd = pair[0];
	if (pair[1] >= FDS_MAX) {
		close(pair[1]);
		return -EMFILE;
	}
	c->http.ready = http_ready;
	r = loop_add(&c->http, c->http_fd, EPOLLIN);
	if (r < 0) {
		close(pair[1]);
		return r;
	}
	c->http_peer = pair[1];
	by_http[pair[1]] = c;
	r = hand_over(pair[1], (struct sockaddr *)&c->peer, c->peer_size);
	if (r < 0)
		return r;
	c->phase = PHASE_WAITING;
	give_time(c, REQUEST_NS);
	return 0;
}

/* 1: progress; 0: has to wait; negative: over. */
static int shake_hands(struct conn *c)
{
	int r = mbedtls_ssl_handshake(&c->ssl);

	c->write_blocked = r == MBEDTLS_ERR_SSL_WANT_WRITE;
	if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE)
		return 0;
	return r < 0 || begin_http(c) < 0 ? -1 : 1;
}

static int from_net(struct conn *c)
{
	int r;

	if (c->net_ended || c->in.size > 0)
		return 0;
	r = mbedtls_ssl_read(&c->ssl, c->in.bytes, sizeof(c->in.bytes));
	if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE)
		return 0;
	if (r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || r == 0) {
		c->net_ended = true;
		return 1;
	}
	if (r < 0)
		return -1;
	c->in.size = (size_t)r;
	c->in.done = 0;
	return 1;
}

static int to_http(struct conn *c)
{
	ssize_t n;

	if (c->in.size == 0) {
		if (c->net_ended && !c->http_told) {
			c->http_told = true;
			shutdown(c->http_fd, SHUT_WR);
		}
		return 0;
	}
	n = send(c->http_fd, c->in.bytes + c->in.done, c->in.size - c->in.done, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0) {	/* HTTP wants no more of it */
		c->in.size = 0;
		return 1;
	}
	c->in.done += (size_t)n;
	if (c->in.done == c->in.size)
		c->in.size = 0;
	return 1;
}

static int from_http(struct conn *c)
{
	ssize_t n;

	if (c->http_ended || c->out.size > 0)
		return 0;
	n = recv(c->http_fd, c->out.bytes, sizeof(c->out.bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		c->http_ended = true;
		loop_remove(&c->http);
		return 1;
	}
	c->out.size = (size_t)n;
	c->out.done = 0;
	return 1;
}

static int to_net(struct conn *c)
{
	int r;

	if (c->out.size == 0)
		return 0;
	r = mbedtls_ssl_write(&c->ssl, c->out.bytes + c->out.done, c->out.size - c->out.done);
	c->write_blocked = r == MBEDTLS_ERR_SSL_WANT_WRITE;
	if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE)
		return 0;
	if (r < 0)
		return -1;
	c->out.done += (size_t)r;
	if (c->out.done == c->out.size)
		c->out.size = 0;
	if (c->phase == PHASE_ANSWERING)
		give_time(c, PROGRESS_NS);
	return 1;
}

/* 0: more may come; negative: over. */
static int linger(struct conn *c)
{
	for (int i = 0; i < ROUNDS_A_TURN; i++) {
		ssize_t n = recv(c->fd, c->in.bytes, sizeof(c->in.bytes), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -1;
	}
	return 0;
}

static int begin_lingering(struct conn *c)
{
	c->phase = PHASE_LINGERING;
	loop_remove(&c->http);
	if (mbedtls_ssl_close_notify(&c->ssl) < 0 || c->net_ended || shutdown(c->fd, SHUT_WR) < 0)
		return -1;
	give_time(c, LINGER_NS);
	return linger(c);
}

/* Negative: the connection is over. */
static int run(struct conn *c)
{
	int steps[4], moved = 1, r;

	c->more = false;
	if (c->phase == PHASE_LINGERING)
		return linger(c);
	if (c->phase == PHASE_HANDSHAKE) {
		r = shake_hands(c);
		if (r <= 0)
			return r;
	}
	for (int i = 0; i < ROUNDS_A_TURN && moved; i++) {
		steps[0] = from_net(c);
		steps[1] = steps[0] < 0 ? 0 : to_http(c);
		steps[2] = from_http(c);
		steps[3] = to_net(c);
		if (steps[0] < 0 || steps[3] < 0)
			return -1;
		moved = steps[0] | steps[1] | steps[2] | steps[3];
	}
	if (c->http_ended && c->out.size == 0)
		return begin_lingering(c);
	c->more = moved != 0;
	return 0;
}

/* mbedTLS may hold bytes that epoll knows nothing of: `more` asks for a turn by way of a writable socket. */
static void want(struct conn *c)
{
	bool reads = c->phase == PHASE_HANDSHAKE || c->phase == PHASE_LINGERING || (!c->net_ended && c->in.size == 0);

	loop_want(&c->net, (reads ? EPOLLIN : 0) | (c->write_blocked || c->more ? EPOLLOUT : 0));
	loop_want(&c->http, (c->out.size == 0 ? EPOLLIN : 0) | (c->in.size > 0 ? EPOLLOUT : 0));
}

static void turn(struct conn *c)
{
	if (run(c) < 0)
		destroy(c);
	else
		want(c);
}

/* An idle client is told that its time is over; one that is in the middle of something is cut off. */
static void expire(struct loop_timer *timer)
{
	struct conn *c = of(timer, deadline);

	if (c->phase != PHASE_WAITING || c->out.size > 0 || begin_lingering(c) < 0)
		destroy(c);
	else
		want(c);
}

static void net_ready(struct loop_source *source, uint32_t events)
{
	struct conn *c = of(source, net);

	if ((events & EPOLLERR) || ((events & EPOLLHUP) && !(events & EPOLLIN)))
		destroy(c);
	else
		turn(c);
}

static void http_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	turn(of(source, http));
}

void conn_request_began(int fd)
{
	struct conn *c = fd >= 0 && fd < FDS_MAX ? by_http[fd] : NULL;

	if (!c || c->phase != PHASE_WAITING)
		return;
	c->phase = PHASE_ANSWERING;
	give_time(c, ANSWER_NS);
}

void conn_request_ended(int fd)
{
	struct conn *c = fd >= 0 && fd < FDS_MAX ? by_http[fd] : NULL;

	if (!c || c->phase != PHASE_ANSWERING)
		return;
	c->phase = PHASE_WAITING;
	give_time(c, REQUEST_NS);
}

/* False: every place is taken by a connection that is being answered. */
static bool make_room(void)
{
	if (n_conns < CONN_MAX)
		return true;
	for (struct conn *c = oldest; c; c = c->next) {
		if (c->phase == PHASE_ANSWERING)
			continue;
		destroy(c);
		return true;
	}
	return false;
}

static int add(int fd, const struct sockaddr_storage *peer, socklen_t peer_size)
{
	struct conn *c = make_room() ? calloc(1, sizeof(*c)) : NULL;
	int r;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	*c = (struct conn){.net = {.fd = -1, .ready = net_ready}, .http = LOOP_SOURCE_INIT, .fd = fd, .http_fd = -1,
			   .http_peer = -1, .peer = *peer, .peer_size = peer_size, .previous = newest,
			   .deadline = {.fire = expire}};
	*(newest ? &newest->next : &oldest) = c;
	newest = c;
	n_conns++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	give_time(c, HANDSHAKE_NS);
	r = tls_open(&c->ssl, &c->fd);
	if (r == 0)
		r = loop_add(&c->net, fd, EPOLLIN);
	if (r < 0)
		destroy(c);
	return r;
}

static void listen_again(struct loop_timer *timer);

static void accept_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t size = sizeof(peer);
		int fd = accept4(source->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			add(fd, &peer, size);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			loop_want(source, 0);	/* it would be ready again at once */
			loop_arm(&listen_timer, loop_now_ns() + LISTEN_AGAIN_NS / 10);
		}
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static int open_listener(void)
{
	int fd = socket(listen_address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &(int){1}, sizeof(int));	/* before the network is up */
	if (bind(fd, (struct sockaddr *)&listen_address, listen_size) < 0 || listen(fd, BACKLOG) < 0)
		r = -errno;
	else
		r = loop_add(&listener, fd, EPOLLIN);
	if (r < 0)
		close(fd);
	return r;
}

static void listen_again(struct loop_timer *timer)
{
	int r;

	if (listener.fd >= 0) {
		loop_want(&listener, EPOLLIN);
		return;
	}
	r = open_listener();
	if (r != told)
		tell(r);
	told = r;
	if (r < 0)
		loop_arm(timer, loop_now_ns() + LISTEN_AGAIN_NS);
}

void conn_listen(const struct sockaddr *address, socklen_t size, conn_handover *handover, void (*say)(int result))
{
	memcpy(&listen_address, address, size);
	listen_size = size;
	hand_over = handover;
	tell = say;
	told = 1;
	listener.ready = accept_ready;
	listen_timer.fire = listen_again;
	listen_again(&listen_timer);
}
