/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's links, IPv4 addresses and default routes, as small tables that follow rtnetlink's messages. Parsing is
 * separate from the socket, so that the tables are tested without a network. Bounded: what does not fit the tables is
 * not followed (a guest has one or two NICs).
 */
#ifndef STAGES_NET_NETLINK_H
#define STAGES_NET_NETLINK_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETLINK_LINKS_MAX     32
#define NETLINK_ADDRESSES_MAX 64
#define NETLINK_ROUTES_MAX    32

struct netlink_link {
	int index;		/* 0: free slot */
	char name[IFNAMSIZ];
	unsigned flags;		/* IFF_* */
	unsigned type;		/* ARPHRD_* */
	int master;		/* index of the device this one is enslaved to, or 0 */
};

struct netlink_address {
	int index;		/* of the link; 0: free slot */
	struct in_addr address;
	unsigned char prefix;
	unsigned char scope;
};

/* A default route of the main table. */
struct netlink_route {
	int index;		/* 0: free slot */
	struct in_addr gateway;
	uint32_t priority;
};

struct netlink_view {
	struct netlink_link links[NETLINK_LINKS_MAX];
	struct netlink_address addresses[NETLINK_ADDRESSES_MAX];
	struct netlink_route routes[NETLINK_ROUTES_MAX];
};

enum netlink_fed {
	NETLINK_MORE,		/* taken in */
	NETLINK_DUMP_END,	/* taken in, and the dump asked for is complete */
	NETLINK_DUMP_AGAIN,	/* the dump was interrupted by a change: clear the view and ask again */
};

/* Takes one datagram of messages. A positive enum netlink_fed, or negative errno (an error message's, or -EBADMSG). */
int netlink_feed(struct netlink_view *view, const void *bytes, size_t size);

/* The named Ethernet-like link; with an empty name the one of lowest index that has no master. NULL: none. */
const struct netlink_link *netlink_nic(const struct netlink_view *view, const char *name);

/* A global (not link-local) address of the link, and the preferred default route through it. NULL: none. */
const struct netlink_address *netlink_address(const struct netlink_view *view, int index);
const struct netlink_route *netlink_default_route(const struct netlink_view *view, int index);

/* A socket that hears changes of links, IPv4 addresses and IPv4 routes. The descriptor, or negative errno. */
int netlink_open(void);

/* Empties the view and fills it from the kernel, changes included that arrive meanwhile. Waits at most 5 s. */
int netlink_refresh(int fd, struct netlink_view *view);

/* Reads all available messages; refreshes if the kernel reports lost ones. 0 or negative errno. */
int netlink_follow(int fd, struct netlink_view *view);

#endif
