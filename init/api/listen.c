/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements listen.h. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conn.h"
#include "init/lib/loop.h"
#include "listen.h"

#define LISTEN_AGAIN_NS 1000000000LL
#define ACCEPTS_A_TURN  32
#define BACKLOG         4096	/* a burst waits here; a client beyond it would try again only after a second */

static void (*tell)(int result);
static int told;
static struct loop_source listener = LOOP_SOURCE_INIT;
static struct loop_timer listen_timer;
static struct sockaddr_storage listen_address;
static socklen_t listen_size;

static void accept_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t size = sizeof(peer);
		int fd = accept4(source->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			conn_add(fd, &peer, size);
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

void listen_stop(void)
{
	int fd = listener.fd;

	loop_disarm(&listen_timer);
	loop_remove(&listener);
	if (fd >= 0)
		close(fd);
}

void listen_start(const struct sockaddr *address, socklen_t size, void (*say)(int result))
{
	memcpy(&listen_address, address, size);
	listen_size = size;
	tell = say;
	told = 1;
	listener.ready = accept_ready;
	listen_timer.fire = listen_again;
	listen_again(&listen_timer);
}
