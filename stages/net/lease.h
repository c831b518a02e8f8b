/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lease as dhcpcd gives it to its hook: environment variables with bytes that a DHCP server chose. Each value is
 * parsed and formatted again; one that does not parse is ignored.
 */
#ifndef STAGES_NET_LEASE_H
#define STAGES_NET_LEASE_H

#include <netinet/in.h>
#include <stddef.h>

#define LEASE_CLOUDS_MAX  8
#define LEASE_SERVERS_MAX 3	/* a resolver reads no more */
#define LEASE_TEXT_MAX    2048	/* room for either text below */

struct lease {
	char interface[16];
	char address[INET_ADDRSTRLEN];
	unsigned prefix;
	char router[INET_ADDRSTRLEN];
	char servers[LEASE_SERVERS_MAX][INET_ADDRSTRLEN];
	size_t n_servers;
	size_t n_ignored;	/* name servers that are not IPv4 addresses */
	char domain[256];
	char platform[LEASE_CLOUDS_MAX][INET_ADDRSTRLEN];	/* of the option that each cloud has */
	unsigned long lease_s;
};

/* From this process's environment. */
void lease_read(struct lease *ret);

/* Lines of "key=value", one for each value. Returns the size, without the NUL. */
size_t lease_state(const struct lease *lease, char ret[LEASE_TEXT_MAX]);

/* The resolver's configuration (resolv.conf(5)). */
size_t lease_resolv_conf(const struct lease *lease, char ret[LEASE_TEXT_MAX]);

#endif
