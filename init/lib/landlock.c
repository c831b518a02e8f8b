/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements landlock.h. */
#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "landlock.h"

/* linux/landlock.h of older kernels' headers stops before these. */
#define FS_ALL_1       ((1ULL << 13) - 1)
#define NET_BIND       (1ULL << 0)
#define NET_CONNECT    (1ULL << 1)
#define SCOPE_ABSTRACT (1ULL << 0)
#define SCOPE_SIGNAL   (1ULL << 1)
#define RULE_NET_PORT  2

#define FS_OF_FILE (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | \
		    LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

struct ruleset {
	uint64_t fs, net, scoped;
};

int landlock_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version < 0 ? 0 : (int)version;
}

static int add_place(int fd, const struct landlock_place *place, uint64_t known)
{
	struct {
		uint64_t allowed;
		int32_t place;
	} __attribute__((packed)) below = {place->rights & known, place->fd};
	struct stat st;

	if (place->fd < 0)
		return 0;
	if (fstat(place->fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		below.allowed &= FS_OF_FILE;
	return syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0 ? -errno : 0;
}

static int add_port(int fd, uint16_t port)
{
	struct {
		uint64_t allowed, port;
	} __attribute__((packed)) bind = {NET_BIND, port};

	return syscall(SYS_landlock_add_rule, fd, RULE_NET_PORT, &bind, 0) < 0 ? -errno : 0;
}

int landlock_restrict(const struct landlock *with)
{
	struct ruleset ruleset = {.fs = FS_ALL_1};
	int version = landlock_version(), r = 0;
	size_t size = version >= 6 ? sizeof(ruleset) : version >= 4 ? offsetof(struct ruleset, scoped) :
		      offsetof(struct ruleset, net);
	_cleanup_(cleanup_close) int fd = -1;

	if (version < 1)
		return 0;
	ruleset.fs |= (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) | (version >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0) |
		      (version >= 5 ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0);
	ruleset.net = version < 4 ? 0 : with->tcp == LANDLOCK_CONNECTS ? NET_BIND : NET_BIND | NET_CONNECT;
	ruleset.scoped = version >= 6 && with->scoped ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; r == 0 && i < with->n_places; i++)
		r = add_place(fd, &with->places[i], ruleset.fs);
	if (r == 0 && with->tcp == LANDLOCK_BINDS && version >= 4)
		r = add_port(fd, with->port);
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	return r;
}

int landlock_scope(bool sockets)
{
	const struct ruleset ruleset = {.scoped = SCOPE_SIGNAL | (sockets ? SCOPE_ABSTRACT : 0)};
	_cleanup_(cleanup_close) int fd = -1;

	if (landlock_version() < 6)
		return 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	return fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}
