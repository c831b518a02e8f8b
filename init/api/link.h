/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The link between the two roles of the API: api-tls, which holds the listener, the TLS key and the sessions, and api,
 * which speaks HTTP and never sees a network socket. A SOCK_SEQPACKET pair that PID 1 hands to both: api-tls sends
 * first a page of states, then each connection whose handshake is over, as one end of a stream socket pair with plain
 * text. In return api writes one number per connection into the shared page, which costs no message. A compromised api
 * can use it only to keep connections open or to have them closed.
 */
#ifndef INIT_API_LINK_H
#define INIT_API_LINK_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

enum link_kind {
	LINK_STATES = 1,	/* attached: a memfd of `slots` numbers, with LINK_SEALS */
	LINK_CONNECTION,	/* attached: HTTP's end */
};

struct link_message {
	uint32_t kind;
	uint32_t slot;		/* LINK_STATES: how many there are */
	uint32_t peer_size;
	struct sockaddr_storage peer;
};

/* A state is a count that grows with each change, times 4, plus where the connection stands. */
enum link_state {
	LINK_HEAD,		/* waits for a request, or for the rest of its head */
	LINK_BODY,
	LINK_ANSWER,
};

#define LINK_SLOTS_MAX 4096
#define LINK_SEALS     (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)	/* a page that is gone would be api's SIGBUS */

typedef _Atomic uint32_t link_word;

static inline enum link_state link_state_of(uint32_t word)
{
	return (word & 3) == LINK_BODY ? LINK_BODY : (word & 3) == LINK_ANSWER ? LINK_ANSWER : LINK_HEAD;
}

static inline uint32_t link_word_next(uint32_t word, enum link_state state)
{
	return ((word & ~3u) + 4) | state;
}

#endif
