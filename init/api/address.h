/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An address as limits count it: IPv4 whole, also when mapped into IPv6; of IPv6 the /64, since a client usually has a
 * whole /64.
 */
#ifndef INIT_API_ADDRESS_H
#define INIT_API_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define ADDRESS_BYTES 16

/* peer may be NULL: all zeros. */
static inline void address_key(const struct sockaddr *peer, unsigned char *out)
{
	memset(out, 0, ADDRESS_BYTES);
	if (peer && peer->sa_family == AF_INET) {
		out[10] = out[11] = 0xff;	/* ::ffff:a.b.c.d */
		memcpy(out + 12, &((const struct sockaddr_in *)peer)->sin_addr, 4);
	} else if (peer && peer->sa_family == AF_INET6) {
		const struct in6_addr *in6 = &((const struct sockaddr_in6 *)peer)->sin6_addr;

		memcpy(out, in6, IN6_IS_ADDR_V4MAPPED(in6) ? ADDRESS_BYTES : ADDRESS_BYTES / 2);
	}
}

static inline bool address_equal(const struct sockaddr *a, const struct sockaddr *b)
{
	unsigned char keys[2][ADDRESS_BYTES];

	address_key(a, keys[0]);
	address_key(b, keys[1]);
	return memcmp(keys[0], keys[1], ADDRESS_BYTES) == 0;
}

#endif
