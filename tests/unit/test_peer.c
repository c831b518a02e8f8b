/* SPDX-License-Identifier: GPL-2.0-or-later */
/* api's side of the link: which page it takes from api-tls, for one that shrinks would be a SIGBUS of api. */
/* links: init/api/peer.c init/lib */
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "init/api/peer.h"
#include "init/lib/fdpass.h"
#include "loop_until.h"
#include "test.h"

#define SLOTS 8

static int link_fd = -1, served = -1, other_end = -1;

/* The connection is served, or closed for want of a slot. */
static bool is_decided(void)
{
	struct pollfd closed = {.fd = other_end};

	return served >= 0 || (poll(&closed, 1, 0) == 1 && closed.revents & POLLHUP);
}

static int serve(int fd, const struct sockaddr *peer, socklen_t peer_size)
{
	(void)peer, (void)peer_size;
	served = fd;
	return 0;
}

static void put(uint32_t kind, uint32_t slot, int attached)
{
	struct link_message message = {.kind = kind, .slot = slot};
	struct iovec part = {&message, sizeof(message)};

	CHECK_INT(fd_send(link_fd, &part, 1, &attached, 1, 0), 0);
}

/* Whether the page, of which `kept` of SLOTS words are left after the seals, gives a connection its slot. */
static bool takes(int seals, size_t kept)
{
	int pair[2], connection[2], page = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool taken;

	CHECK(page >= 0 && ftruncate(page, (off_t)(kept * sizeof(link_word))) == 0);
	CHECK(fcntl(page, F_ADD_SEALS, seals) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, connection) == 0);
	link_fd = pair[0];
	served = -1;
	peer_init(serve);
	peer_use(pair[1]);
	put(LINK_STATES, SLOTS, page);
	put(LINK_CONNECTION, SLOTS - 1, connection[0]);
	close(connection[0]);
	other_end = connection[1];
	CHECK(loop_until(is_decided));
	taken = served >= 0 && peer_slot(served) == SLOTS - 1;
	if (taken)
		peer_state(served, LINK_BODY);
	close(page);
	close(link_fd);
	return taken;
}

TEST(a_page_that_cannot_shrink_is_taken)
{
	CHECK_INT(loop_init(), 0);
	CHECK(takes(LINK_SEALS, SLOTS));
}

TEST(a_page_that_could_shrink_is_not)
{
	CHECK_INT(loop_init(), 0);
	CHECK(!takes(0, SLOTS));
	CHECK(!takes(F_SEAL_GROW, SLOTS));
	CHECK(!takes(LINK_SEALS & ~F_SEAL_SHRINK, SLOTS));
}

TEST(a_page_that_is_too_small_is_not)
{
	CHECK_INT(loop_init(), 0);
	CHECK(!takes(LINK_SEALS, SLOTS - 1));
}
