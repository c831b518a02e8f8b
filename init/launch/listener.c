/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements listener.h: a cgroup's id is the inode of its folder. No allocation: the caller's filter has no call for
 * memory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "listener.h"

#define LISTEN_STATE 10		/* TCP_LISTEN; all other states are of connections */
#define SOCKETS_MAX  256	/* that share the port, as web servers do */
#define DEPTH_MAX    8		/* cgroups below cgroups */

struct search {
	const struct sockaddr_storage *address;
	int rank;		/* of the sockets below */
	uint64_t cgroups[SOCKETS_MAX];
	size_t n;
};

/* ---- the sockets that listen ----------------------------------------------------------------------------------- */

/* How well a socket bound to that address fits IPv4: the kernel prefers the higher rank. 0: not at all. */
static int rank_v4(const struct inet_diag_msg *socket, bool only_v6, in_addr_t wanted)
{
	const uint32_t *at = socket->id.idiag_src;

	if (socket->idiag_family == AF_INET)
		return at[0] == wanted ? 4 : at[0] == INADDR_ANY ? 3 : 0;
	if (only_v6 || at[0] || at[1])
		return 0;
	if (at[2] == htonl(0xffff))
		return at[3] == wanted ? 2 : 0;
	return !at[2] && !at[3];
}

static int rank_v6(const struct inet_diag_msg *socket, const struct in6_addr *wanted)
{
	if (socket->idiag_family != AF_INET6)
		return 0;
	if (!memcmp(socket->id.idiag_src, wanted, sizeof(*wanted)))
		return 2;
	return !memcmp(socket->id.idiag_src, &in6addr_any, sizeof(in6addr_any));
}

static void take_socket(const struct nlmsghdr *message, struct search *search)
{
	const struct inet_diag_msg *socket = NLMSG_DATA(message);
	int size = (int)message->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*socket)), rank;
	uint64_t cgroup = 0;
	bool only_v6 = false;

	if (size < 0)
		return;
	for (const struct rtattr *a = (const struct rtattr *)(socket + 1); RTA_OK(a, size); a = RTA_NEXT(a, size)) {
		if (a->rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(a) == sizeof(cgroup))
			memcpy(&cgroup, RTA_DATA(a), sizeof(cgroup));
		else if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) == 1)
			only_v6 = *(const unsigned char *)RTA_DATA(a);
	}
	if (search->address->ss_family == AF_INET)
		rank = rank_v4(socket, only_v6, ((const struct sockaddr_in *)search->address)->sin_addr.s_addr);
	else
		rank = rank_v6(socket, &((const struct sockaddr_in6 *)search->address)->sin6_addr);
	if (rank > search->rank) {
		search->rank = rank;
		search->n = 0;
	}
	if (rank && rank == search->rank && search->n < SOCKETS_MAX)
		search->cgroups[search->n++] = cgroup;
}

static int ask(int fd, uint8_t family, in_port_t port, in_port_t from, uint32_t number)
{
	const struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {
		.head = {.nlmsg_len = sizeof(request), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = number},
		.body = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = from ? ~(1U << LISTEN_STATE) : 1U << LISTEN_STATE,
			 .id.idiag_sport = port, .id.idiag_dport = from},
	};

	return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

/* Takes all sockets of the family that listen on the port, or are connected with `from`. */
static int each_socket(int fd, uint8_t family, in_port_t port, in_port_t from, struct search *search)
{
	static uint32_t number;
	union {
		struct nlmsghdr head;
		char bytes[16384];
	} answer;
	int r = ask(fd, family, port, from, ++number);

	while (r == 0) {
		ssize_t n = recv(fd, answer.bytes, sizeof(answer.bytes), 0);
		unsigned left = n > 0 ? (unsigned)n : 0;

		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		for (const struct nlmsghdr *message = &answer.head; NLMSG_OK(message, left);
		     message = NLMSG_NEXT(message, left)) {
			int error = 0;

			if (message->nlmsg_seq != number)	/* the rest of an answer that ended early */
				continue;
			if (message->nlmsg_type == SOCK_DIAG_BY_FAMILY) {
				take_socket(message, search);
			} else if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
				if (NLMSG_PAYLOAD(message, 0) < (int)sizeof(error))
					return -EPROTO;
				memcpy(&error, NLMSG_DATA(message), sizeof(error));
				return error;
			}
		}
	}
	return r;
}

/* ---- the cgroup ------------------------------------------------------------------------------------------------ */

static bool has(const struct search *search, uint64_t cgroup)
{
	for (size_t i = 0; i < search->n; i++)
		if (search->cgroups[i] == cgroup)
			return true;
	return false;
}

/* A record of getdents64(2): musl has no name for it. */
struct record {
	uint64_t inode;
	int64_t offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

static bool is_below(int folder, const struct search *search, int depth)
{
	union {
		struct record record;
		char bytes[2048];
	} buffer;
	long n;

	if (lseek(folder, 0, SEEK_SET) < 0)
		return false;
	while ((n = syscall(SYS_getdents64, folder, buffer.bytes, sizeof(buffer.bytes))) > 0) {
		for (long at = 0; at < n;) {
			const struct record *record = (const struct record *)(buffer.bytes + at);
			_cleanup_(cleanup_close) int fd = -1;

			at += record->size;
			if (record->type != DT_DIR || record->name[0] == '.')
				continue;
			if (has(search, record->inode))
				return true;
			fd = openat(folder, record->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (fd >= 0 && depth < DEPTH_MAX && is_below(fd, search, depth + 1))
				return true;
		}
	}
	return false;
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

/* Connected: the kernel alone can answer. */
int listener_open(void)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), r;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

int listener_find(int diag_fd, const struct sockaddr_storage *address, in_port_t from, int folder)
{
	struct search search = {.address = address};
	bool v4 = address->ss_family == AF_INET;
	in_port_t port = v4 ? ((const struct sockaddr_in *)address)->sin_port :
			      ((const struct sockaddr_in6 *)address)->sin6_port;
	int r = each_socket(diag_fd, AF_INET6, port, from, &search);
	struct stat st;

	if (r == 0 && v4)
		r = each_socket(diag_fd, AF_INET, port, from, &search);
	if (r < 0)
		return r;
	if (!search.n)
		return LISTENER_NONE;
	if (fstat(folder, &st) < 0)
		return -errno;
	return has(&search, st.st_ino) || is_below(folder, &search, 0) ? LISTENER_OWN : LISTENER_FOREIGN;
}
