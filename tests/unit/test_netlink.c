/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The view of links, addresses and routes as rtnetlink's messages build it, fed from bytes. That the kernel's own
 * messages do the same is a component test.
 */
/* links: net stages/lib */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>

#include "stages/net/netlink.h"
#include "test.h"

static _Alignas(8) unsigned char bytes[4096];
static size_t used;
static struct netlink_view view;

static struct nlmsghdr *begin(unsigned type, unsigned flags)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(bytes + used);

	*h = (struct nlmsghdr){.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = (uint16_t)type, .nlmsg_flags = (uint16_t)flags};
	return h;
}

static void add(struct nlmsghdr *h, const void *p, size_t size)
{
	memcpy((unsigned char *)h + h->nlmsg_len, p, size);
	h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len + (uint32_t)size);
}

static void add_attribute(struct nlmsghdr *h, unsigned short type, const void *p, size_t size)
{
	struct rtattr a = {.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = type};

	add(h, &a, sizeof(a));
	add(h, p, size);
}

static void end(struct nlmsghdr *h)
{
	used += NLMSG_ALIGN(h->nlmsg_len);
}

static void link_message(unsigned type, int index, const char *name, unsigned flags, int master)
{
	struct ifinfomsg info = {.ifi_index = index, .ifi_type = ARPHRD_ETHER, .ifi_flags = flags};
	struct nlmsghdr *h = begin(type, 0);

	if (flags & IFF_LOOPBACK)
		info.ifi_type = ARPHRD_LOOPBACK;
	add(h, &info, sizeof(info));
	add_attribute(h, IFLA_IFNAME, name, strlen(name) + 1);
	if (master)
		add_attribute(h, IFLA_MASTER, &master, sizeof(master));
	end(h);
}

static void address_message(unsigned type, int index, const char *text, unsigned char prefix, unsigned char scope)
{
	struct ifaddrmsg info = {.ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_scope = scope};
	struct nlmsghdr *h = begin(type, 0);
	struct in_addr a;

	info.ifa_index = (unsigned)index;
	inet_pton(AF_INET, text, &a);
	add(h, &info, sizeof(info));
	add_attribute(h, IFA_LOCAL, &a, sizeof(a));
	end(h);
}

static void route_message(unsigned type, int index, const char *gateway, uint32_t priority, unsigned char length,
			  unsigned char table)
{
	struct rtmsg info = {.rtm_family = AF_INET, .rtm_dst_len = length, .rtm_table = table, .rtm_type = RTN_UNICAST};
	struct nlmsghdr *h = begin(type, 0);
	struct in_addr a;

	inet_pton(AF_INET, gateway, &a);
	add(h, &info, sizeof(info));
	add_attribute(h, RTA_OIF, &index, sizeof(index));
	add_attribute(h, RTA_GATEWAY, &a, sizeof(a));
	add_attribute(h, RTA_PRIORITY, &priority, sizeof(priority));
	end(h);
}

static int feed(void)
{
	int r = netlink_feed(&view, bytes, used);

	used = 0;
	return r;
}

TEST(the_first_nic_is_the_lowest_that_is_neither_loopback_nor_slave)
{
	link_message(RTM_NEWLINK, 5, "eth9", IFF_UP, 0);
	link_message(RTM_NEWLINK, 1, "lo", IFF_UP | IFF_LOOPBACK, 0);
	link_message(RTM_NEWLINK, 2, "vf0", IFF_UP, 3);
	link_message(RTM_NEWLINK, 3, "eth0", 0, 0);
	CHECK_INT(feed(), NETLINK_MORE);
	CHECK_STR(netlink_nic(&view, "")->name, "eth0");
	CHECK_STR(netlink_nic(&view, "eth9")->name, "eth9");
	CHECK_STR(netlink_nic(&view, "vf0")->name, "vf0");
	CHECK(!netlink_nic(&view, "none"));
}

TEST(a_link_changes_and_goes)
{
	link_message(RTM_NEWLINK, 2, "eth0", 0, 0);
	link_message(RTM_NEWLINK, 2, "lan", IFF_UP, 0);
	feed();
	CHECK_STR(netlink_nic(&view, "")->name, "lan");
	CHECK_INT(netlink_nic(&view, "")->flags, IFF_UP);
	link_message(RTM_DELLINK, 2, "lan", 0, 0);
	feed();
	CHECK(!netlink_nic(&view, ""));
}

TEST(a_link_local_address_is_no_address)
{
	address_message(RTM_NEWADDR, 2, "169.254.1.2", 16, RT_SCOPE_UNIVERSE);
	address_message(RTM_NEWADDR, 2, "10.0.0.9", 24, RT_SCOPE_LINK);
	address_message(RTM_NEWADDR, 3, "10.0.0.8", 24, RT_SCOPE_UNIVERSE);
	feed();
	CHECK(!netlink_address(&view, 2));
	address_message(RTM_NEWADDR, 2, "10.0.0.4", 24, RT_SCOPE_UNIVERSE);
	feed();
	CHECK_INT(ntohl(netlink_address(&view, 2)->address.s_addr), 0x0A000004);
	CHECK_INT(netlink_address(&view, 2)->prefix, 24);
	address_message(RTM_DELADDR, 2, "10.0.0.4", 24, RT_SCOPE_UNIVERSE);
	feed();
	CHECK(!netlink_address(&view, 2));
}

TEST(the_preferred_default_route_is_taken)
{
	route_message(RTM_NEWROUTE, 2, "10.0.0.9", 200, 0, RT_TABLE_MAIN);
	route_message(RTM_NEWROUTE, 2, "10.0.0.1", 100, 0, RT_TABLE_MAIN);
	route_message(RTM_NEWROUTE, 2, "10.0.0.7", 1, 24, RT_TABLE_MAIN);
	route_message(RTM_NEWROUTE, 2, "10.0.0.8", 1, 0, RT_TABLE_LOCAL);
	feed();
	CHECK_INT(ntohl(netlink_default_route(&view, 2)->gateway.s_addr), 0x0A000001);
	CHECK(!netlink_default_route(&view, 3));
	route_message(RTM_DELROUTE, 2, "10.0.0.1", 100, 0, RT_TABLE_MAIN);
	feed();
	CHECK_INT(ntohl(netlink_default_route(&view, 2)->gateway.s_addr), 0x0A000009);
}

TEST(an_error_and_the_end_of_a_dump_are_told)
{
	struct nlmsgerr error = {.error = -EPERM};
	struct nlmsghdr *h = begin(NLMSG_ERROR, 0);
	int zero = 0;

	add(h, &error, sizeof(error));
	end(h);
	CHECK_INT(feed(), -EPERM);
	h = begin(NLMSG_DONE, 0);
	add(h, &zero, sizeof(zero));
	end(h);
	CHECK_INT(feed(), NETLINK_DUMP_END);
	h = begin(NLMSG_DONE, NLM_F_DUMP_INTR);
	add(h, &zero, sizeof(zero));
	end(h);
	CHECK_INT(feed(), NETLINK_DUMP_AGAIN);
}

TEST(sizes_that_do_not_fit_are_refused)
{
	struct nlmsghdr *h = begin(RTM_NEWLINK, 0);

	h->nlmsg_len = 8;
	used = 16;
	CHECK_INT(feed(), -EBADMSG);
	h = begin(RTM_NEWLINK, 0);
	h->nlmsg_len = 100;
	used = 32;
	CHECK_INT(feed(), -EBADMSG);
	h = begin(RTM_NEWLINK, 0);
	h->nlmsg_len = NLMSG_HDRLEN + 4;
	used = NLMSG_ALIGN(NLMSG_HDRLEN + 4);
	CHECK_INT(feed(), -EBADMSG);
}

TEST(more_than_fits_the_tables_is_not_followed)
{
	for (int i = 1; i <= NETLINK_LINKS_MAX + 8; i++) {
		char name[16];

		snprintf(name, sizeof(name), "eth%d", i);
		link_message(RTM_NEWLINK, i, name, 0, 0);
		CHECK_INT(feed(), NETLINK_MORE);
	}
	CHECK(netlink_nic(&view, "eth1"));
	CHECK(!netlink_nic(&view, "eth40"));
}
