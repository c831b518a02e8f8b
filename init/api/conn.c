/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Passes bytes between TLS sessions and the HTTP role. Each direction has one small buffer while data is in transit and
 * reads only when it has none, so a peer that does not read or write delays only itself. At the limit, in total or per
 * address, the connection idle longest is closed first. Idle time is multiplied by the number of connections of the
 * address, and again while no ClientHello has come: so half-open connections do not keep out a good client, and one
 * address does not keep out the others.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "address.h"
#include "conn.h"
#include "init/lib/fdpass.h"
#include "init/lib/loop.h"
#include "link.h"
#include "stop.h"
#include "tls.h"

#define SECOND_NS       1000000000LL
#define HANDSHAKE_NS    (10 * SECOND_NS)	/* the whole of it */
#define REQUEST_NS      (30 * SECOND_NS)	/* idle, and the whole of a request's head */
#define BODY_NS         (120 * SECOND_NS)	/* the whole of a request's body */
#define LINK_NS         (5 * SECOND_NS)	/* for the HTTP role, while it is being started again */
#define PROGRESS_NS     (30 * SECOND_NS)	/* between two pieces that the client takes of an answer */
#define LINGER_NS       (2 * SECOND_NS)
#define BUFFER_SIZE     4096
#define SILENT_WEIGHT   16		/* a second without a ClientHello counts as that many */
#define ROUNDS_A_TURN   16
#define UNSENT_SIZE     32768	/* in the socket: the kernel would buffer megabytes for a client that does not read */
#define USER_TIMEOUT_MS 60000	/* unacknowledged bytes: the client is considered gone */

enum phase {
	PHASE_HANDSHAKE,
	PHASE_LINKING,		/* waits for the HTTP role */
	PHASE_HTTP,		/* its progress there is `state` */
	PHASE_LINGERING,	/* all sent; input is still read, so that the client receives the rest of the answer */
};

struct buffer {
	size_t size, done;
	unsigned char bytes[BUFFER_SIZE];
};

/* An address with connections (address.h). */
struct address {
	size_t n;
};

struct conn {
	struct loop_source net, http;
	struct loop_timer deadline;
	int64_t due_ns;			/* 0: none */
	int64_t since_ns;		/* of its last progress */
	struct conn *next, *previous;	/* oldest first */
	int fd;
	int http_fd;			/* ours, -1: closed */
	uint32_t slot;
	uint32_t seen;			/* the slot's word when we last looked */
	struct sockaddr_storage peer;
	socklen_t peer_size;
	struct address *address;
	enum phase phase;
	bool net_ended, http_ended, http_told;
	bool write_blocked;		/* TLS waits for room in the socket */
	bool more;			/* out of turn, not out of bytes */
	bool net_readable, http_readable;	/* false: only epoll will tell */
	struct buffer *in, *out;	/* plain text on its way: in from the client, out to it; NULL: none */
	mbedtls_ssl_context ssl;
};

static struct conn *oldest, *newest;
static struct buffer *spare;		/* most pieces are passed on at once, so one is enough for all of them */
static size_t n_conns, conns_max, address_max;
static uint32_t free_slots[LINK_SLOTS_MAX];
static link_word *states;
static int states_fd = -1, link_fd = -1;

#define of(pointer, member) ((struct conn *)((char *)(pointer) - offsetof(struct conn, member)))

static struct buffer *take_buffer(void)
{
	struct buffer *b = spare ? spare : malloc(sizeof(*b));

	spare = NULL;
	return b;
}

static void give_buffer(struct buffer **b)
{
	if (spare)
		free(*b);
	else
		spare = *b;
	*b = NULL;
}

static void destroy(struct conn *c)
{
	give_buffer(&c->in);
	give_buffer(&c->out);
	loop_remove(&c->net);
	loop_remove(&c->http);
	loop_disarm(&c->deadline);
	*(c->previous ? &c->previous->next : &oldest) = c->next;
	*(c->next ? &c->next->previous : &newest) = c->previous;
	free_slots[--n_conns] = c->slot;
	if (--c->address->n == 0)
		free(c->address);
	if (c->http_fd >= 0)
		close(c->http_fd);
	close(c->fd);
	mbedtls_ssl_free(&c->ssl);
	free(c);
}

/* The timer is moved only if it would fire too late: most deadlines are extended many times before they expire. */
static void give_time(struct conn *c, int64_t ns)
{
	c->since_ns = loop_now_ns();
	c->due_ns = c->since_ns + ns;
	if (!c->deadline.armed || c->deadline.due_ns > c->due_ns)
		loop_arm(&c->deadline, c->due_ns);
}

static void http_ready(struct loop_source *source, uint32_t events);

static int send_link(const struct link_message *message, int fd)
{
	struct iovec iov = {(void *)message, sizeof(*message)};

	return fd_send(link_fd, &iov, 1, &fd, 1, MSG_DONTWAIT);
}

/* Hands the client to the HTTP role. Without the role it waits for conn_link(). */
static int begin_http(struct conn *c)
{
	struct link_message message = {.kind = LINK_CONNECTION, .slot = c->slot, .peer_size = c->peer_size,
				       .peer = c->peer};
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	atomic_store_explicit(&states[c->slot], 0, memory_order_relaxed);
	r = send_link(&message, pair[1]);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		if (c->phase == PHASE_LINKING)
			return 0;
		c->phase = PHASE_LINKING;
		give_time(c, LINK_NS);
		return 0;
	}
	c->http_fd = pair[0];
	c->http.ready = http_ready;
	r = loop_add(&c->http, c->http_fd, EPOLLIN);
	c->phase = PHASE_HTTP;
	c->net_readable = true;
	give_time(c, REQUEST_NS);
	return r;
}

/* 1: progress; 0: has to wait; negative: over. */
static int shake_hands(struct conn *c)
{
	int r = mbedtls_ssl_handshake(&c->ssl);

	c->write_blocked = r == MBEDTLS_ERR_SSL_WANT_WRITE;
	if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE)
		return 0;
	if (r < 0)
		return -1;
	tls_rest(&c->ssl);
	return begin_http(c) < 0 ? -1 : 1;
}

static enum link_state state_of(const struct conn *c)
{
	return link_state_of(c->seen);
}

/* If HTTP has got further since we last looked, the deadline is that of where it is now. */
static void look(struct conn *c)
{
	uint32_t word = atomic_load_explicit(&states[c->slot], memory_order_relaxed);

	if (c->phase != PHASE_HTTP || word == c->seen)
		return;
	c->seen = word;
	if (state_of(c) == LINK_HEAD)
		give_time(c, REQUEST_NS);
	else if (state_of(c) == LINK_BODY)
		give_time(c, BODY_NS);
	else if (c->out)
		give_time(c, PROGRESS_NS);
	else
		c->due_ns = 0;	/* PID 1's work has its own deadline */
}

/* Sets c->in if there is data. After a record that was read completely, epoll reports the next one. */
static int from_net(struct conn *c)
{
	struct buffer *b;
	int r;

	if (c->net_ended || c->in || !c->net_readable)
		return 0;
	b = take_buffer();
	if (!b)
		return -1;
	r = mbedtls_ssl_read(&c->ssl, b->bytes, sizeof(b->bytes));
	if (r > 0) {
		c->net_readable = mbedtls_ssl_check_pending(&c->ssl);
		b->size = (size_t)r;
		b->done = 0;
		c->in = b;
		return 1;
	}
	give_buffer(&b);
	if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE) {
		c->net_readable = r == MBEDTLS_ERR_SSL_WANT_WRITE;
		return 0;
	}
	c->net_ended = r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || r == 0;
	return c->net_ended ? 1 : -1;
}

static int to_http(struct conn *c)
{
	ssize_t n;

	if (!c->in) {
		if (c->net_ended && !c->http_told) {
			c->http_told = true;
			shutdown(c->http_fd, SHUT_WR);
		}
		return 0;
	}
	n = send(c->http_fd, c->in->bytes + c->in->done, c->in->size - c->in->done, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	c->in->done = n < 0 ? c->in->size : c->in->done + (size_t)n;	/* an error: HTTP has closed */
	if (c->in->done == c->in->size)
		give_buffer(&c->in);
	return 1;
}

static int from_http(struct conn *c)
{
	struct buffer *b;
	ssize_t n;

	if (c->http_ended || c->out || !c->http_readable)
		return 0;
	b = take_buffer();
	if (!b)
		return -1;
	n = recv(c->http_fd, b->bytes, sizeof(b->bytes), MSG_DONTWAIT);
	c->http_readable = n == sizeof(b->bytes);
	if (n > 0) {
		b->size = (size_t)n;
		b->done = 0;
		c->out = b;
		if (state_of(c) == LINK_ANSWER)
			give_time(c, PROGRESS_NS);
		return 1;
	}
	give_buffer(&b);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	c->http_ended = true;
	loop_remove(&c->http);
	return 1;
}

static int to_net(struct conn *c)
{
	int r;

	if (!c->out)
		return 0;
	r = mbedtls_ssl_write(&c->ssl, c->out->bytes + c->out->done, c->out->size - c->out->done);
	c->write_blocked = r == MBEDTLS_ERR_SSL_WANT_WRITE;
	if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE)
		return 0;
	if (r < 0)
		return -1;
	c->out->done += (size_t)r;
	if (c->out->done == c->out->size)
		give_buffer(&c->out);
	if (state_of(c) == LINK_ANSWER && !c->out)
		c->due_ns = 0;
	else if (state_of(c) != LINK_BODY)	/* also of an answer that HTTP is done with */
		give_time(c, PROGRESS_NS);
	return 1;
}

/* 0: more may come; negative: over. */
static int linger(struct conn *c)
{
	char unread[BUFFER_SIZE];

	for (int i = 0; i < ROUNDS_A_TURN; i++) {
		ssize_t n = recv(c->fd, unread, sizeof(unread), MSG_DONTWAIT);

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
	if (c->phase == PHASE_LINKING)
		return 0;
	look(c);
	for (int i = 0; i < ROUNDS_A_TURN && moved; i++) {
		steps[0] = from_net(c);
		steps[1] = steps[0] < 0 ? 0 : to_http(c);
		steps[2] = from_http(c);
		steps[3] = to_net(c);
		if (steps[0] < 0 || steps[2] < 0 || steps[3] < 0)
			return -1;
		moved = steps[0] | steps[1] | steps[2] | steps[3];
	}
	if (c->http_ended && !c->out)
		return begin_lingering(c);
	c->more = moved != 0;
	return 0;
}

/* Not in the loop while no event is wanted: epoll would report a hang-up again and again. */
static void want_http(struct conn *c, uint32_t events)
{
	if (!events)
		loop_remove(&c->http);
	else if (c->http.fd >= 0)
		loop_want(&c->http, events);
	else
		loop_add(&c->http, c->http_fd, events);
}

/* mbedTLS may hold bytes that epoll does not see: `more` requests a turn by waiting for a writable socket. */
static void want(struct conn *c)
{
	bool reads = c->phase == PHASE_HANDSHAKE || c->phase == PHASE_LINGERING ||
		     (c->phase == PHASE_HTTP && !c->net_ended && !c->in);

	loop_want(&c->net, (reads ? EPOLLIN : 0) | (c->write_blocked || c->more ? EPOLLOUT : 0));
	if (c->phase == PHASE_HTTP && !c->http_ended)
		want_http(c, (c->out ? 0 : EPOLLIN) | (c->in ? EPOLLOUT : 0));
}

static void turn(struct conn *c)
{
	if (run(c) < 0)
		destroy(c);
	else
		want(c);
	stop_check();
}

/* An idle client gets a close_notify; one in the middle of a request or answer is disconnected. */
static void expire(struct loop_timer *timer)
{
	struct conn *c = of(timer, deadline);

	look(c);
	if (!c->due_ns)
		return;
	if (c->due_ns > loop_now_ns()) {
		loop_arm(timer, c->due_ns);
		return;
	}
	if (c->phase != PHASE_HTTP || state_of(c) != LINK_HEAD || c->out || begin_lingering(c) < 0)
		destroy(c);
	else
		want(c);
}

static void net_ready(struct loop_source *source, uint32_t events)
{
	struct conn *c = of(source, net);

	if ((events & EPOLLERR) || ((events & EPOLLHUP) && !(events & EPOLLIN))) {
		destroy(c);
		return;
	}
	if (events & EPOLLIN)
		c->net_readable = true;
	turn(c);
}

static void http_ready(struct loop_source *source, uint32_t events)
{
	struct conn *c = of(source, http);

	if (events & ~(uint32_t)EPOLLOUT)
		c->http_readable = true;
	turn(c);
}

static struct address *address_of(const struct sockaddr_storage *peer)
{
	for (struct conn *c = oldest; c; c = c->next)
		if (address_equal((const struct sockaddr *)&c->peer, (const struct sockaddr *)peer))
			return c->address;
	return calloc(1, sizeof(struct address));
}

/* Weighted idle time; 0: it is being answered, and reads the answer. */
static int64_t idleness(struct conn *c, int64_t now_ns)
{
	bool silent = c->phase == PHASE_HANDSHAKE && !tls_greeted(&c->ssl);

	look(c);
	if (c->phase == PHASE_HTTP && state_of(c) == LINK_ANSWER && !c->out)
		return 0;
	return (now_ns - c->since_ns + 1) * (silent ? SILENT_WEIGHT : 1) * (int64_t)c->address->n;
}

/* False: all connections that could be closed for this address are being answered. */
static bool make_room(const struct address *address)
{
	bool own_only = address->n > address_max;
	struct conn *idlest = NULL;
	int64_t now_ns = loop_now_ns(), most = 0;

	if (!own_only && n_conns < conns_max)
		return true;
	for (struct conn *c = oldest; c; c = c->next) {
		int64_t idle = own_only && c->address != address ? 0 : idleness(c, now_ns);

		if (idle <= most)
			continue;
		most = idle;
		idlest = c;
	}
	if (idlest)
		destroy(idlest);
	return idlest != NULL;
}

int conn_add(int fd, const struct sockaddr_storage *peer, socklen_t peer_size)
{
	struct address *address = address_of(peer);
	struct conn *c = NULL;
	int r;

	if (address) {
		address->n++;	/* so that closing another one does not free the row */
		c = make_room(address) ? calloc(1, sizeof(*c)) : NULL;
	}
	if (!c) {
		if (address && --address->n == 0)
			free(address);
		close(fd);
		return -ENOMEM;
	}
	*c = (struct conn){.net = {.fd = -1, .ready = net_ready}, .http = LOOP_SOURCE_INIT, .fd = fd, .http_fd = -1,
			   .slot = free_slots[n_conns], .peer = *peer, .peer_size = peer_size,
			   .address = address, .previous = newest, .deadline = {.fire = expire}};
	*(newest ? &newest->next : &oldest) = c;
	newest = c;
	n_conns++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &(int){USER_TIMEOUT_MS}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){UNSENT_SIZE}, sizeof(int));
	give_time(c, HANDSHAKE_NS);
	r = tls_open(&c->ssl, &c->fd);
	if (r == 0)
		r = loop_add(&c->net, fd, EPOLLIN);
	if (r < 0)
		destroy(c);
	return r;
}

int conn_init(size_t connections, size_t per_address)
{
	size_t size = connections * sizeof(*states);
	void *at;

	conns_max = connections;
	address_max = per_address;
	states_fd = memfd_create("states", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (states_fd < 0 || ftruncate(states_fd, (off_t)size) < 0 || fcntl(states_fd, F_ADD_SEALS, LINK_SEALS) < 0)
		return -errno;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, states_fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	states = at;
	for (size_t i = 0; i < connections; i++)
		free_slots[i] = (uint32_t)i;
	return 0;
}

void conn_link(int fd)
{
	struct link_message message = {.kind = LINK_STATES, .slot = (uint32_t)conns_max};
	struct conn *next;

	if (link_fd >= 0)
		close(link_fd);
	link_fd = fd;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int));
	send_link(&message, states_fd);
	for (struct conn *c = oldest; c; c = next) {
		next = c->next;
		if (c->phase != PHASE_LINKING)
			continue;
		if (begin_http(c) < 0)
			destroy(c);
		else
			turn(c);
	}
}

bool conn_idle(void)
{
	for (struct conn *c = oldest; c; c = c->next) {
		look(c);
		if (c->phase == PHASE_HTTP && (state_of(c) != LINK_HEAD || c->out || !c->http_ended))
			return false;
	}
	return true;
}
