/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements peer.h. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/lib/fdpass.h"
#include "init/lib/loop.h"
#include "peer.h"

#define MESSAGES_A_TURN 64
#define FDS_MAX         (4 * LINK_SLOTS_MAX)

static struct loop_source source = LOOP_SOURCE_INIT;
static int (*on_connection)(int fd, const struct sockaddr *peer, socklen_t peer_size);
static link_word *states;
static uint32_t slots;
static int owners[LINK_SLOTS_MAX];	/* slot -> the descriptor that may speak for it */
static uint16_t slot_of[FDS_MAX];	/* descriptor -> slot + 1 */

static void forget(void)
{
	/* Connections that came with this link may live on; the slots are the next one's. */
	for (uint32_t i = 0; i < slots; i++)
		owners[i] = -1;
	if (states)
		munmap(states, slots * sizeof(*states));
	states = NULL;
	slots = 0;
	if (source.fd >= 0) {
		int fd = source.fd;

		loop_remove(&source);
		close(fd);
	}
}

static void map_states(uint32_t n, int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *at;

	/* The seals first: the size that is read after them stays. A file of another kind has none. */
	if (states || n == 0 || n > LINK_SLOTS_MAX || seals < 0 || (seals & LINK_SEALS) != LINK_SEALS ||
	    fstat(fd, &st) < 0 || st.st_size < (off_t)(n * sizeof(*states)))
		return;
	at = mmap(NULL, n * sizeof(*states), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return;
	states = at;
	slots = n;
}

/* fd is taken over. */
static void add(const struct link_message *message, int fd)
{
	if (message->slot >= slots || fd >= FDS_MAX || message->peer_size > sizeof(message->peer)) {
		close(fd);
		return;
	}
	owners[message->slot] = fd;
	slot_of[fd] = (uint16_t)(message->slot + 1);
	on_connection(fd, (const struct sockaddr *)&message->peer, message->peer_size);
}

/* False: no more messages now. */
static bool receive(void)
{
	struct link_message message;
	struct iovec iov = {&message, sizeof(message)};
	struct fd_received received;
	ssize_t n = fd_receive(source.fd, &iov, 1, 1, &received, MSG_DONTWAIT);
	int fd = received.fds[0];

	if (n < 0)
		return n == -EINTR;
	if (n == 0) {
		fd_close(&received);	/* an empty message may have one, too */
		forget();
		return false;
	}
	if (fd < 0)
		return true;
	if (n == sizeof(message) && message.kind == LINK_CONNECTION) {
		add(&message, fd);
		return true;
	}
	if (n == sizeof(message) && message.kind == LINK_STATES)
		map_states(message.slot, fd);
	close(fd);
	return true;
}

static void ready(struct loop_source *s, uint32_t events)
{
	(void)events;
	for (int i = 0; i < MESSAGES_A_TURN && s->fd >= 0; i++)
		if (!receive())
			return;
}

void peer_init(int (*serve)(int fd, const struct sockaddr *peer, socklen_t peer_size))
{
	on_connection = serve;
}

void peer_use(int fd)
{
	forget();
	source.ready = ready;
	if (loop_add(&source, fd, EPOLLIN) < 0)
		close(fd);
}

int peer_slot(int fd)
{
	int slot = fd >= 0 && fd < FDS_MAX ? slot_of[fd] - 1 : -1;

	return slot >= 0 && slot < (int)slots && owners[slot] == fd ? slot : -1;
}

void peer_state(int fd, enum link_state state)
{
	int slot = peer_slot(fd);

	if (slot >= 0)
		atomic_store_explicit(&states[slot], link_word_next(atomic_load_explicit(&states[slot],
				      memory_order_relaxed), state), memory_order_relaxed);
}
