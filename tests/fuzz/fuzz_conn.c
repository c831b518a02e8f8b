/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * api-tls between its clients and an api that does anything: writes, closes, sets any state in the shared page, goes and
 * comes back. TLS is left out (`mbedtls_ssl_*` below pass plain bytes after one byte of handshake). Two bytes of the input
 * are an operation and its argument. What arrives at either end is what was sent there, in order, and every
 * connection is over soon after both have lost interest.
 */
/* links: init/api/conn.c init/lib/fdpass.c */
/* libs: mbedtls */
#include <mbedtls/ssl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "fake_loop.h"
#include "init/api/conn.h"
#include "init/api/link.h"
#include "init/api/stop.h"
#include "init/api/tls.h"
#include "init/lib/fdpass.h"
#include "target.h"

enum {CLIENT_COMES, CLIENT_SENDS, CLIENT_READS, CLIENT_CLOSES, API_TAKES, API_SENDS, API_READS, API_CLOSES, API_STATE, TIME,
      API_COMES, CLIENT_ENDS, OPERATIONS};

#define CLIENTS_MAX  24
#define SLOTS        16
#define PER_ADDRESS  6
#define SECOND_NS    1000000000LL

static struct client {
	int fd;				/* the client's end; -1: none */
	int http_fd;			/* what api has of it */
	uint32_t slot;
	size_t sent, http_got;		/* bytes behind the handshake */
	size_t http_sent, got;
} clients[CLIENTS_MAX];
static size_t n_clients;
static int link_fd = -1;
static link_word *page;

/* ---- instead of TLS ---------------------------------------------------------------------------------------------- */

int tls_open(mbedtls_ssl_context *ssl, int *fd)
{
	memset(ssl, 0, sizeof(*ssl));
	ssl->MBEDTLS_PRIVATE(p_bio) = fd;
	return 0;
}

bool tls_greeted(const mbedtls_ssl_context *ssl)
{
	return ssl->MBEDTLS_PRIVATE(state) > 0;
}

void tls_rest(mbedtls_ssl_context *ssl)
{
	(void)ssl;
}

int mbedtls_ssl_read(mbedtls_ssl_context *ssl, unsigned char *bytes, size_t size)
{
	ssize_t n = recv(*(int *)ssl->MBEDTLS_PRIVATE(p_bio), bytes, size, MSG_DONTWAIT);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_CONN_EOF;
}

int mbedtls_ssl_write(mbedtls_ssl_context *ssl, const unsigned char *bytes, size_t size)
{
	ssize_t n = send(*(int *)ssl->MBEDTLS_PRIVATE(p_bio), bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_SSL_CONN_EOF;
}

int mbedtls_ssl_handshake(mbedtls_ssl_context *ssl)
{
	unsigned char byte;
	int r = mbedtls_ssl_read(ssl, &byte, 1);

	if (r <= 0)
		return r ? r : MBEDTLS_ERR_SSL_CONN_EOF;
	ssl->MBEDTLS_PRIVATE(state) = 1;
	return byte == 'H' ? 0 : MBEDTLS_ERR_SSL_DECODE_ERROR;
}

int mbedtls_ssl_check_pending(const mbedtls_ssl_context *ssl)
{
	(void)ssl;
	return 0;
}

int mbedtls_ssl_close_notify(mbedtls_ssl_context *ssl)
{
	(void)ssl;
	return 0;
}

void mbedtls_ssl_free(mbedtls_ssl_context *ssl)
{
	(void)ssl;
}

void stop_check(void)
{
}

/* ---- the two ends ------------------------------------------------------------------------------------------------- */

/* The byte at this place of all that goes one way; no two clients have the same row. */
static unsigned char pattern(size_t client, bool to_http, size_t at)
{
	return (unsigned char)(client * 31 + at * 7 + at / 256 * 3 + to_http);
}

static size_t put(int fd, size_t client, bool to_http, size_t at, size_t size)
{
	unsigned char bytes[4096];
	ssize_t n;

	for (size_t i = 0; i < size; i++)
		bytes[i] = pattern(client, to_http, at + i);
	n = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n > 0 ? (size_t)n : 0;
}

static size_t get(int fd, size_t client, bool to_http, size_t at, size_t size)
{
	unsigned char bytes[4096];
	ssize_t n = recv(fd, bytes, size, MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++)
		must(bytes[i] == pattern(client, to_http, at + (size_t)i), "what arrives is what was sent, in order");
	return n > 0 ? (size_t)n : 0;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void client_comes(uint8_t argument)
{
	struct sockaddr_storage peer = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&peer;
	int pair[2];

	if (n_clients == CLIENTS_MAX)
		return;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(0x0a000000u + argument % 4);
	in->sin_port = htons((uint16_t)n_clients);	/* by which api's end is found */
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "a socket pair");
	clients[n_clients++] = (struct client){.fd = pair[0], .http_fd = -1};
	conn_add(pair[1], &peer, sizeof(*in));
	if (argument & 0x80)
		must(send(pair[0], argument & 0x40 ? "X" : "H", 1, MSG_NOSIGNAL) >= -1, "a handshake");
}

static void api_takes(void)
{
	struct link_message message;
	struct iovec part = {&message, sizeof(message)};
	struct fd_received received;

	while (link_fd >= 0 && fd_receive(link_fd, &part, 1, 1, &received, MSG_DONTWAIT) > 0) {
		size_t which = ntohs(((struct sockaddr_in *)&message.peer)->sin_port);

		must(received.n == 1 && !received.dropped, "one descriptor");
		if (message.kind == LINK_STATES) {
			if (!page)
				page = mmap(NULL, SLOTS * sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, received.fds[0], 0);
			must(message.slot == SLOTS && page != MAP_FAILED, "the page of states");
			fd_close(&received);
			continue;
		}
		must(message.kind == LINK_CONNECTION && message.slot < SLOTS && which < n_clients && clients[which].http_fd < 0,
		     "a connection, once");
		clients[which].http_fd = received.fds[0];
		clients[which].slot = message.slot;
	}
}

static void api_comes(void)
{
	int pair[2];

	for (size_t i = 0; i < n_clients; i++)
		close_end(&clients[i].http_fd);
	close_end(&link_fd);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "a socket pair");
	link_fd = pair[0];
	conn_link(pair[1]);
}

static void operate(uint8_t operation, uint8_t argument)
{
	struct client *c = n_clients ? &clients[argument % n_clients] : NULL;
	size_t which = c ? (size_t)(c - clients) : 0, size = 1 + argument * 16u;

	operation %= OPERATIONS;
	if (operation == CLIENT_COMES)
		client_comes(argument);
	else if (operation == API_TAKES)
		api_takes();
	else if (operation == API_COMES)
		api_comes();
	else if (operation == TIME)
		fake_pass(argument * SECOND_NS / 4);
	if (!c)
		return;
	if (operation == CLIENT_SENDS && c->fd >= 0)
		c->sent += put(c->fd, which, true, c->sent, size);
	else if (operation == CLIENT_READS && c->fd >= 0)
		c->got += get(c->fd, which, false, c->got, size);
	else if (operation == CLIENT_ENDS && c->fd >= 0)
		shutdown(c->fd, SHUT_WR);
	else if (operation == CLIENT_CLOSES)
		close_end(&c->fd);
	else if (operation == API_SENDS && c->http_fd >= 0)
		c->http_sent += put(c->http_fd, which, false, c->http_sent, size);
	else if (operation == API_READS && c->http_fd >= 0)
		c->http_got += get(c->http_fd, which, true, c->http_got, size);
	else if (operation == API_CLOSES)
		close_end(&c->http_fd);
	else if (operation == API_STATE && page)
		atomic_store(&page[argument % SLOTS], argument * 0x01010101u);
}

static void settle(void)
{
	for (int i = 0; i < 4 && fake_turn() > 0; i++)
		;
}

static void end(void)
{
	for (size_t i = 0; i < n_clients; i++)
		close_end(&clients[i].http_fd);
	settle();
	for (size_t i = 0; i < n_clients; i++)
		close_end(&clients[i].fd);
	settle();
	for (int i = 0; i < 10; i++) {
		fake_pass(30 * SECOND_NS);
		settle();
	}
	for (size_t i = 0; i < FAKE_SOURCES_MAX; i++)
		must(!fake_sources[i], "every connection is over");
	must(!fake_timers && conn_idle(), "and has no deadline");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static size_t before;

	if (!page) {
		must(conn_init(SLOTS, PER_ADDRESS) == 0, "the start");
		api_comes();
		api_takes();
	}
	n_clients = 0;
	for (size_t i = 0; i < SLOTS; i++)
		atomic_store(&page[i], 0);
	for (size_t i = 0; i + 1 < size && i < 400; i += 2) {
		operate(bytes[i], bytes[i + 1]);
		for (size_t k = 0; k < n_clients; k++)
			must(clients[k].http_got <= clients[k].sent && clients[k].got <= clients[k].http_sent, "no byte of its own");
		settle();
	}
	api_takes();
	end();
	must(!before || open_fds() == before, "no descriptor stays open");
	before = open_fds();
	return 0;
}
