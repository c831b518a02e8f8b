/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements listener.h: the inodes of the sockets that listen at the address, from /proc/net/tcp and tcp6, and then
 * the descriptors of the cgroup's processes. No allocation: the caller's filter has no call for memory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "listener.h"

#define LISTEN_STATE 0x0a
#define INODES_MAX   256	/* sockets that share the port, as web servers do */
#define DEPTH_MAX    8		/* cgroups below cgroups */

struct search {
	const struct sockaddr_storage *address;
	int rank;		/* of the inodes below */
	unsigned long inodes[INODES_MAX];
	size_t n_inodes;
};

/* A record of getdents64(2): musl has no name for it. */
struct record {
	uint64_t inode;
	int64_t offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

/* Calls look() with each name in the folder until it returns true. Whether it did. */
static bool each_name(int folder, bool (*look)(int folder, const struct record *record, void *with), void *with)
{
	union {
		struct record record;
		char bytes[2048];
	} buffer;
	long n;

	while ((n = syscall(SYS_getdents64, folder, buffer.bytes, sizeof(buffer.bytes))) > 0) {
		for (long at = 0; at < n;) {
			const struct record *record = (const struct record *)(buffer.bytes + at);

			if (record->name[0] != '.' && look(folder, record, with))
				return true;
			at += record->size;
		}
	}
	return false;
}

/* Calls take() with each line of the file. 0 or negative errno. */
static int each_line(int folder, const char *path, bool (*take)(const char *line, void *with), void *with,
		     bool *ret_taken)
{
	int fd = openat(folder, path, O_RDONLY | O_CLOEXEC), r = 0;
	char text[4096];
	size_t size = 0;

	*ret_taken = false;
	if (fd < 0)
		return -errno;
	while (!*ret_taken) {
		ssize_t n = read(fd, text + size, sizeof(text) - 1 - size);
		char *line = text, *end;

		if (n <= 0) {
			r = n < 0 ? -errno : 0;
			break;
		}
		size += (size_t)n;
		text[size] = '\0';
		for (; !*ret_taken && (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			*ret_taken = take(line, with);
		}
		size -= (size_t)(line - text);
		memmove(text, line, size);
		if (size == sizeof(text) - 1)
			size = 0;	/* no line of these files is so long */
	}
	close(fd);
	return r;
}

/* ---- the sockets that listen ----------------------------------------------------------------------------------- */

/* Four bytes of an address as the kernel prints them: one number of this machine's byte order. */
static uint32_t word(const char *hex)
{
	char digits[9];

	memcpy(digits, hex, 8);
	digits[8] = '\0';
	return (uint32_t)strtoul(digits, NULL, 16);
}

/* How well a socket bound to `hex`, 8 digits or 32, fits IPv4: the kernel prefers the higher rank. 0: not at all. */
static int rank_v4(const char *hex, uint32_t wanted)
{
	if (strlen(hex) == 8)
		return word(hex) == wanted ? 4 : word(hex) == INADDR_ANY ? 3 : 0;
	if (word(hex) || word(hex + 8))
		return 0;
	if (word(hex + 16) == htonl(0xffff))
		return word(hex + 24) == wanted ? 2 : 0;
	return !word(hex + 16) && !word(hex + 24);
}

static int rank_v6(const char *hex, const struct in6_addr *wanted)
{
	bool same = true, any = true;

	if (strlen(hex) != 32)
		return 0;
	for (size_t i = 0; i < 4; i++) {
		uint32_t part;

		memcpy(&part, wanted->s6_addr + 4 * i, sizeof(part));
		same = same && word(hex + 8 * i) == part;
		any = any && !word(hex + 8 * i);
	}
	return same ? 2 : any;
}

static bool take_socket(const char *line, void *with)
{
	struct search *search = with;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)search->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)search->address;
	bool is_v4 = search->address->ss_family == AF_INET;
	unsigned port, state;
	unsigned long inode;
	char hex[33];
	int rank;

	if (sscanf(line, " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %*u %*d %lu", hex, &port, &state,
		   &inode) != 4 || state != LISTEN_STATE || (strlen(hex) != 8 && strlen(hex) != 32) ||
	    port != ntohs(is_v4 ? v4->sin_port : v6->sin6_port))
		return false;
	rank = is_v4 ? rank_v4(hex, v4->sin_addr.s_addr) : rank_v6(hex, &v6->sin6_addr);
	if (rank > search->rank) {
		search->rank = rank;
		search->n_inodes = 0;
	}
	if (rank && rank == search->rank && search->n_inodes < INODES_MAX)
		search->inodes[search->n_inodes++] = inode;
	return false;
}

/* ---- who has them open ------------------------------------------------------------------------------------------ */

static bool is_socket(int folder, const struct record *record, void *with)
{
	const struct search *search = with;
	unsigned long inode;
	char target[64];
	ssize_t n = readlinkat(folder, record->name, target, sizeof(target) - 1);

	target[n > 0 ? n : 0] = '\0';
	if (sscanf(target, "socket:[%lu]", &inode) != 1)
		return false;
	for (size_t i = 0; i < search->n_inodes; i++)
		if (search->inodes[i] == inode)
			return true;
	return false;
}

static bool take_process(const char *line, void *with)
{
	char path[48];
	bool found;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/fd", strtol(line, NULL, 10));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	found = each_name(fd, is_socket, with);
	close(fd);
	return found;
}

struct below {
	struct search *search;
	int depth;
};

static bool in_cgroup(int folder, struct search *search, int depth);

static bool look_below(int folder, const struct record *record, void *with)
{
	const struct below *below = with;
	bool found;
	int fd;

	if (record->type != DT_DIR)
		return false;
	fd = openat(folder, record->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	found = in_cgroup(fd, below->search, below->depth + 1);
	close(fd);
	return found;
}

static bool in_cgroup(int folder, struct search *search, int depth)
{
	struct below below = {search, depth};
	bool found;

	if (each_line(folder, "cgroup.procs", take_process, search, &found) == 0 && found)
		return true;
	return depth < DEPTH_MAX && each_name(folder, look_below, &below);
}

int listener_find(const struct sockaddr_storage *address, const char *folder)
{
	struct search search = {.address = address};
	bool taken, own;
	int r = each_line(AT_FDCWD, "/proc/net/tcp", take_socket, &search, &taken), fd;

	if (r < 0 && r != -ENOENT)
		return r;
	r = each_line(AT_FDCWD, "/proc/net/tcp6", take_socket, &search, &taken);
	if (r < 0 && r != -ENOENT)	/* a kernel without IPv6 */
		return r;
	if (!search.n_inodes)
		return LISTENER_NONE;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	own = in_cgroup(fd, &search, 0);
	close(fd);
	return own ? LISTENER_OWN : LISTENER_FOREIGN;
}
