/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements landlock.h. */
#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "landlock.h"

/* linux/landlock.h of older kernels' headers stops before these. */
#define FS_ALL_1      ((1ULL << 13) - 1)
#define FS_REFER      (1ULL << 13)
#define FS_TRUNCATE   (1ULL << 14)
#define FS_IOCTL      (1ULL << 15)
#define NET_BIND      (1ULL << 0)
#define NET_CONNECT   (1ULL << 1)
#define RULE_NET_PORT 2

int landlock_restrict(int directory, uint64_t rights, int port)
{
	struct {
		uint64_t fs, net;
	} ruleset = {.fs = FS_ALL_1};
	struct {
		uint64_t allowed;
		int32_t directory;
	} __attribute__((packed)) below = {rights, directory};
	struct {
		uint64_t allowed, port;
	} __attribute__((packed)) bind = {NET_BIND, (uint64_t)port};
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	size_t size = version >= 4 ? sizeof(ruleset) : sizeof(ruleset.fs);
	_cleanup_(cleanup_close) int fd = -1;

	if (version < 1)
		return 0;
	ruleset.fs |= (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL : 0);
	ruleset.net = version >= 4 ? NET_BIND | NET_CONNECT : 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return -errno;
	if (directory >= 0 && syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0)
		return -errno;
	if (port >= 0 && version >= 4 && syscall(SYS_landlock_add_rule, fd, RULE_NET_PORT, &bind, 0) < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}
