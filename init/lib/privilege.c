/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements privilege.h with the kernel's own calls: libc's would synchronize with other threads, and the launcher
 * runs in a copy of another process' memory, where libc knows nothing of this one.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "privilege.h"

#define CAPABILITIES 64

static bool has(uint64_t set, int capability)
{
	return set & UINT64_C(1) << capability;
}

int privilege_user(uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
	if (syscall(SYS_setgroups, n_groups, groups) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
	    syscall(SYS_setresuid, uid, uid, uid) < 0)
		return -errno;
	return 0;
}

int privilege_no_new(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int capabilities_get(uint64_t *ret_permitted, uint64_t *ret_effective)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];

	if (syscall(SYS_capget, &header, sets) < 0)
		return -errno;
	*ret_permitted = sets[0].permitted | (uint64_t)sets[1].permitted << 32;
	*ret_effective = sets[0].effective | (uint64_t)sets[1].effective << 32;
	return 0;
}

int capabilities_check(uint64_t wanted)
{
	for (int c = 0; c < CAPABILITIES; c++) {
		int there = prctl(PR_CAPBSET_READ, c, 0, 0, 0);

		if (there < 0)	/* the kernel has no more of them */
			return wanted >> c ? -EINVAL : 0;
		if (!there && has(wanted, c))
			return -EPERM;
	}
	return 0;
}

int capabilities_bound(uint64_t kept)
{
	for (int c = 0; c < CAPABILITIES; c++) {
		int there = prctl(PR_CAPBSET_READ, c, 0, 0, 0);

		if (there < 0)
			break;
		if (there && !has(kept, c) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return -errno;
	}
	return 0;
}

/* An ambient capability must be inheritable, too; the kernel takes ambient ones away from set-user-id programs. */
int capabilities_keep(uint64_t kept, bool ambient)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {{0}};

	for (int i = 0; i < 2; i++) {
		uint32_t half = (uint32_t)(kept >> (32 * i));

		sets[i].permitted = sets[i].effective = half;
		sets[i].inheritable = ambient ? half : 0;
	}
	if (syscall(SYS_capset, &header, sets) < 0)
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	for (int c = 0; ambient && c < CAPABILITIES; c++)
		if (has(kept, c) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) < 0)
			return -errno;
	return 0;
}

int privilege_bound(uint64_t kept)
{
	uint64_t permitted, effective;
	int r = capabilities_get(&permitted, &effective);

	if (r == 0 && has(effective, CAP_SETPCAP))
		r = capabilities_bound(kept);
	if (r == 0)
		r = privilege_no_new();
	return r < 0 ? r : capabilities_keep(permitted & kept, false);
}
