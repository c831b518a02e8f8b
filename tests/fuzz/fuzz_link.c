/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any messages from api-tls to api, and what api does with its connections between them. Pieces (target.h): the first byte
 * of each is an operation (the enum below). A connection speaks for its own slot of the page that came with the
 * same link, nothing else in the page changes, and no descriptor stays open.
 */
/* links: init/api/peer.c init/lib */
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fake_loop.h"
#include "init/api/peer.h"
#include "init/lib/fdpass.h"
#include "target.h"

enum {CONNECTION, STATES, RAW, RAW_WITH_DESCRIPTOR, STATE, CLOSE, NEW_LINK, OPERATIONS};

#define CONNECTIONS_MAX 32
#define SLOTS_MAX       64	/* that a page has room for here */

static struct {
	int fd;
	unsigned link;
	uint32_t slot;
} connections[CONNECTIONS_MAX];
static size_t n_connections;
static unsigned link_number;
static uint32_t coming_slot;
static int link_fd = -1, page_fd = -1;
static bool has_page;

static int serve(int fd, const struct sockaddr *peer, socklen_t peer_size)
{
	must(peer && peer_size <= sizeof(struct sockaddr_storage), "the address has its room");
	must(n_connections < CONNECTIONS_MAX, "no more connections than came");
	connections[n_connections].fd = fd;
	connections[n_connections].link = link_number;
	connections[n_connections++].slot = coming_slot;
	return 0;
}

static void put(const void *bytes, size_t size, int attached)
{
	struct iovec part = {(void *)bytes, size};

	if (fd_send(link_fd, &part, 1, &attached, attached >= 0, MSG_DONTWAIT) == 0)
		fake_turn();
}

static void connection(struct input piece)
{
	struct link_message message = {.kind = LINK_CONNECTION};
	int pair[2];

	if (n_connections == CONNECTIONS_MAX)
		return;
	message.slot = coming_slot = input_byte(&piece) | (uint32_t)input_byte(&piece) << 8;
	message.peer_size = input_byte(&piece);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
	put(&message, sizeof(message), pair[1]);
	close(pair[1]);
	close(pair[0]);
}

static void states(struct input piece)
{
	struct link_message message = {.kind = LINK_STATES};
	size_t room;

	message.slot = input_byte(&piece) | (uint32_t)input_byte(&piece) << 8;
	room = input_byte(&piece) % SLOTS_MAX;
	if (has_page)	/* the first one counts */
		return;
	close(page_fd);
	page_fd = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	must(page_fd >= 0 && ftruncate(page_fd, (off_t)(room * sizeof(uint32_t))) == 0, "a page");
	must(fcntl(page_fd, F_ADD_SEALS, LINK_SEALS) == 0, "seals");
	has_page = message.slot > 0 && message.slot <= room;
	put(&message, sizeof(message), page_fd);
}

static void read_page(uint32_t *words)
{
	memset(words, 0, SLOTS_MAX * sizeof(*words));
	must(pread(page_fd, words, SLOTS_MAX * sizeof(*words), 0) >= 0, "the page");
}

static void state(struct input piece)
{
	uint32_t before[SLOTS_MAX], after[SLOTS_MAX];
	uint8_t which = input_byte(&piece), to = input_byte(&piece) % 3;
	int slot;

	if (!n_connections)
		return;
	which %= n_connections;
	slot = peer_slot(connections[which].fd);
	must(slot < 0 || (connections[which].link == link_number && (uint32_t)slot == connections[which].slot),
	     "a connection has the slot that came with it, as long as its link is there");
	read_page(before);
	peer_state(connections[which].fd, (enum link_state)to);
	read_page(after);
	for (int i = 0; i < SLOTS_MAX; i++)
		must(after[i] == (i == slot ? link_word_next(before[i], (enum link_state)to) : before[i]), "its word alone changes");
}

static void close_one(struct input piece)
{
	size_t which;

	if (!n_connections)
		return;
	which = input_byte(&piece) % n_connections;
	close(connections[which].fd);
	connections[which] = connections[--n_connections];
}

static void new_link(void)
{
	int pair[2];

	if (link_fd >= 0)
		close(link_fd);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
	link_fd = pair[0];
	link_number++;
	has_page = false;
	peer_use(pair[1]);
}

static void one(struct input piece)
{
	switch (input_byte(&piece) % OPERATIONS) {
	case CONNECTION:
		connection(piece);
		break;
	case STATES:
		states(piece);
		break;
	case RAW:
		if (piece.size)
			put(piece.bytes, piece.size, -1);
		break;
	case RAW_WITH_DESCRIPTOR:
		if (piece.size != sizeof(struct link_message))	/* one of that size is an operation of its own */
			put(piece.bytes, piece.size, 0);
		break;
	case STATE:
		state(piece);
		break;
	case CLOSE:
		close_one(piece);
		break;
	default:
		new_link();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size}, piece;
	size_t before = open_fds();

	page_fd = memfd_create("page", MFD_CLOEXEC);
	peer_init(serve);
	new_link();
	for (int n = 0; n < 200 && input_piece(&input, &piece); n++)
		one(piece);
	close(link_fd);
	link_fd = -1;
	fake_turn();
	while (n_connections > 0)
		close(connections[--n_connections].fd);
	close(page_fd);
	must(open_fds() == before, "no descriptor stays open");
	return 0;
}
