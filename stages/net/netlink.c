/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtnetlink, as far as "is the network there?" needs it. Every message is checked against the bytes that were
 * received before a field of it is read. When the kernel reports loss or an interrupted dump the view is rebuilt
 * from nothing instead of repaired.
 */
#define _GNU_SOURCE
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stages/lib/backoff.h"

#define ANSWER_TIMEOUT_MS 5000

/* One attribute's payload of at least `minimum` bytes, or NULL; a later one of a type overrides an earlier one. */
static const void *attribute(const void *first, size_t size, unsigned type, size_t minimum, size_t *ret_size)
{
	const unsigned char *p = first;
	const void *found = NULL;

	while (size >= sizeof(struct rtattr)) {
		struct rtattr a;
		size_t step;

		memcpy(&a, p, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > size)
			break;
		if ((a.rta_type & NLA_TYPE_MASK) == type && a.rta_len - sizeof(a) >= minimum) {
			found = p + RTA_LENGTH(0);
			if (ret_size)
				*ret_size = a.rta_len - RTA_LENGTH(0);
		}
		step = RTA_ALIGN(a.rta_len);
		if (step > size)
			break;
		p += step;
		size -= step;
	}
	return found;
}

static uint32_t attribute_u32(const void *first, size_t size, unsigned type)
{
	const void *p = attribute(first, size, type, sizeof(uint32_t), NULL);
	uint32_t value = 0;

	if (p)
		memcpy(&value, p, sizeof(value));
	return value;
}

static void take_link(struct netlink_view *view, unsigned type, const struct ifinfomsg *info, const void *attributes,
		      size_t size)
{
	struct netlink_link *link = NULL;
	const char *name;
	size_t name_size = 0;

	if (info->ifi_index <= 0)
		return;
	for (size_t i = 0; i < NETLINK_LINKS_MAX && !link; i++) {
		if (view->links[i].index == info->ifi_index)
			link = &view->links[i];
	}
	if (type == RTM_DELLINK) {
		if (link)
			*link = (struct netlink_link){0};
		return;
	}
	for (size_t i = 0; i < NETLINK_LINKS_MAX && !link; i++) {
		if (view->links[i].index == 0)
			link = &view->links[i];
	}
	if (!link)
		return;
	link->index = info->ifi_index;
	link->flags = info->ifi_flags;
	link->type = info->ifi_type;
	link->master = (int)attribute_u32(attributes, size, IFLA_MASTER);
	name = attribute(attributes, size, IFLA_IFNAME, 1, &name_size);
	if (name)
		snprintf(link->name, sizeof(link->name), "%.*s", (int)strnlen(name, name_size), name);
}

static void take_address(struct netlink_view *view, unsigned type, const struct ifaddrmsg *info,
			 const void *attributes, size_t size)
{
	struct netlink_address *slot = NULL;
	const void *p;
	struct in_addr a;

	p = attribute(attributes, size, IFA_LOCAL, sizeof(a), NULL);
	if (!p)
		p = attribute(attributes, size, IFA_ADDRESS, sizeof(a), NULL);
	if (info->ifa_family != AF_INET || info->ifa_index == 0 || !p)
		return;
	memcpy(&a, p, sizeof(a));
	for (size_t i = 0; i < NETLINK_ADDRESSES_MAX && !slot; i++) {
		if (view->addresses[i].index == (int)info->ifa_index && view->addresses[i].address.s_addr == a.s_addr &&
		    view->addresses[i].prefix == info->ifa_prefixlen)
			slot = &view->addresses[i];
	}
	if (type == RTM_DELADDR) {
		if (slot)
			*slot = (struct netlink_address){0};
		return;
	}
	for (size_t i = 0; i < NETLINK_ADDRESSES_MAX && !slot; i++) {
		if (view->addresses[i].index == 0)
			slot = &view->addresses[i];
	}
	if (slot)
		*slot = (struct netlink_address){
			.index = (int)info->ifa_index,
			.address = a,
			.prefix = info->ifa_prefixlen,
			.scope = info->ifa_scope,
		};
}

static void take_route(struct netlink_view *view, unsigned type, const struct rtmsg *info, const void *attributes,
		       size_t size)
{
	struct netlink_route route = {0}, *slot = NULL;
	const void *p;
	uint32_t table;

	table = attribute_u32(attributes, size, RTA_TABLE);
	if (info->rtm_family != AF_INET || info->rtm_dst_len != 0 || info->rtm_type != RTN_UNICAST ||
	    (table ? table : info->rtm_table) != RT_TABLE_MAIN)
		return;
	route.index = (int)attribute_u32(attributes, size, RTA_OIF);
	route.priority = attribute_u32(attributes, size, RTA_PRIORITY);
	p = attribute(attributes, size, RTA_GATEWAY, sizeof(route.gateway), NULL);
	if (p)
		memcpy(&route.gateway, p, sizeof(route.gateway));
	if (route.index <= 0)
		return;
	for (size_t i = 0; i < NETLINK_ROUTES_MAX && !slot; i++) {
		if (view->routes[i].index == route.index && view->routes[i].priority == route.priority &&
		    view->routes[i].gateway.s_addr == route.gateway.s_addr)
			slot = &view->routes[i];
	}
	if (type == RTM_DELROUTE) {
		if (slot)
			*slot = (struct netlink_route){0};
		return;
	}
	for (size_t i = 0; i < NETLINK_ROUTES_MAX && !slot; i++) {
		if (view->routes[i].index == 0)
			slot = &view->routes[i];
	}
	if (slot)
		*slot = route;
}

static int take_message(struct netlink_view *view, unsigned type, const unsigned char *body, size_t size)
{
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
		struct nlmsgerr error;
	} m;
	size_t head = type == RTM_NEWLINK || type == RTM_DELLINK ? sizeof(m.link) :
		type == RTM_NEWADDR || type == RTM_DELADDR ? sizeof(m.address) :
		type == RTM_NEWROUTE || type == RTM_DELROUTE ? sizeof(m.route) :
		type == NLMSG_ERROR ? sizeof(m.error) : 0;

	if (head == 0)
		return 0;
	if (size < head)
		return -EBADMSG;
	memcpy(&m, body, head);
	body += head < NLMSG_ALIGN(head) && size >= NLMSG_ALIGN(head) ? NLMSG_ALIGN(head) : head;
	size -= head < NLMSG_ALIGN(head) && size >= NLMSG_ALIGN(head) ? NLMSG_ALIGN(head) : head;
	switch (type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		take_link(view, type, &m.link, body, size);
		return 0;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		take_address(view, type, &m.address, body, size);
		return 0;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		take_route(view, type, &m.route, body, size);
		return 0;
	default:
		return m.error.error > 0 ? -EBADMSG : m.error.error < -4095 ? -EBADMSG : m.error.error;
	}
}

int netlink_feed(struct netlink_view *view, const void *bytes, size_t size)
{
	const unsigned char *p = bytes;
	enum netlink_fed fed = NETLINK_MORE;
	int r;

	while (size >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr h;
		size_t step;

		memcpy(&h, p, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > size)
			return -EBADMSG;
		if (h.nlmsg_flags & NLM_F_DUMP_INTR)
			fed = NETLINK_DUMP_AGAIN;
		if (h.nlmsg_type == NLMSG_DONE) {
			if (fed == NETLINK_MORE)
				fed = NETLINK_DUMP_END;
		} else {
			r = take_message(view, h.nlmsg_type, p + NLMSG_HDRLEN, h.nlmsg_len - NLMSG_HDRLEN);
			if (r < 0)
				return r;
			if (h.nlmsg_type == NLMSG_ERROR && fed == NETLINK_MORE)
				fed = NETLINK_DUMP_END;	/* error 0 is the answer to a request with NLM_F_ACK */
		}
		step = NLMSG_ALIGN(h.nlmsg_len);
		if (step > size)
			break;
		p += step;
		size -= step;
	}
	return (int)fed;
}

const struct netlink_link *netlink_nic(const struct netlink_view *view, const char *name)
{
	const struct netlink_link *best = NULL;

	for (size_t i = 0; i < NETLINK_LINKS_MAX; i++) {
		const struct netlink_link *l = &view->links[i];

		if (l->index == 0 || (l->flags & IFF_LOOPBACK))
			continue;
		if (name && name[0] ? strcmp(l->name, name) != 0 : l->type != ARPHRD_ETHER || l->master != 0)
			continue;
		if (!best || l->index < best->index)
			best = l;
	}
	return best;
}

const struct netlink_address *netlink_address(const struct netlink_view *view, int index)
{
	for (size_t i = 0; i < NETLINK_ADDRESSES_MAX; i++) {
		const struct netlink_address *a = &view->addresses[i];

		/* dhcpcd takes 169.254/16 when no server answers: that is not a network. */
		if (a->index == index && a->scope == RT_SCOPE_UNIVERSE &&
		    ntohl(a->address.s_addr) >> 16 != 0xA9FE)
			return a;
	}
	return NULL;
}

const struct netlink_route *netlink_default_route(const struct netlink_view *view, int index)
{
	const struct netlink_route *best = NULL;

	for (size_t i = 0; i < NETLINK_ROUTES_MAX; i++) {
		if (view->routes[i].index == index && (!best || view->routes[i].priority < best->priority))
			best = &view->routes[i];
	}
	return best;
}

int netlink_open(void)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* One datagram, from the kernel only, waiting until `end`. -EAGAIN: lost messages. */
static int receive_one(int fd, struct netlink_view *view, int64_t end)
{
	_Alignas(struct nlmsghdr) static unsigned char buffer[65536];
	struct sockaddr_nl from = {0};
	socklen_t from_size = sizeof(from);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t left = end - time_now_ms();
	ssize_t n;
	int r;

	r = poll(&p, 1, left > 0 ? (int)left : 0);
	if (r < 0)
		return errno == EINTR ? (int)NETLINK_MORE : -errno;
	if (r == 0)
		return -ETIMEDOUT;
	n = recvfrom(fd, buffer, sizeof(buffer), MSG_TRUNC | MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? (int)NETLINK_MORE : errno == ENOBUFS ? -EAGAIN : -errno;
	if (from.nl_pid != 0)
		return NETLINK_MORE;
	if ((size_t)n > sizeof(buffer))
		return -EAGAIN;
	return netlink_feed(view, buffer, (size_t)n);
}

static int request(int fd, struct netlink_view *view, void *message, size_t size)
{
	int64_t end = time_now_ms() + ANSWER_TIMEOUT_MS;
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int r;

	if (sendto(fd, message, size, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	do {
		r = receive_one(fd, view, end);
	} while (r == NETLINK_MORE);
	return r;
}

static int dump(int fd, struct netlink_view *view, unsigned type)
{
	struct {
		struct nlmsghdr head;
		struct rtmsg body;	/* the longest of the three; a zeroed one asks for everything of the family */
	} m = {
		.head = {
			.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
			.nlmsg_type = (uint16_t)type,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.body = {.rtm_family = AF_INET},
	};
	struct {
		struct nlmsghdr head;
		struct ifinfomsg body;
	} links = {
		.head = {
			.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
	};

	if (type == RTM_GETLINK)
		return request(fd, view, &links, links.head.nlmsg_len);
	if (type == RTM_GETADDR)
		m.head.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
	return request(fd, view, &m, m.head.nlmsg_len);
}

int netlink_refresh(int fd, struct netlink_view *view)
{
	static const unsigned types[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE};
	int64_t end = time_now_ms() + ANSWER_TIMEOUT_MS;
	size_t i = 0;
	int r;

	*view = (struct netlink_view){0};
	while (i < sizeof(types) / sizeof(types[0])) {
		r = dump(fd, view, types[i]);
		if (r == NETLINK_DUMP_END) {
			i++;
		} else if (r == NETLINK_DUMP_AGAIN || r == -EAGAIN) {
			if (time_now_ms() > end)
				return -ETIMEDOUT;
			*view = (struct netlink_view){0};
			i = 0;
		} else {
			return r < 0 ? r : -EBADMSG;
		}
	}
	return 0;
}

int netlink_follow(int fd, struct netlink_view *view)
{
	int r = receive_one(fd, view, 0);

	if (r == -EAGAIN)
		return netlink_refresh(fd, view);
	return r < 0 && r != -ETIMEDOUT ? r : 0;
}
