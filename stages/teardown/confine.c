/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements confine.h. CAP_SYS_ADMIN undoes mounts, swap and volumes, CAP_DAC_READ_SEARCH gets to a mount in a folder
 * of another user; a process that unmounts cannot be under landlock. No call makes a mount, a program or a socket.
 */
#include "confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/mount.h>

#include "init/lib/privilege.h"
#include "init/lib/restrict.h"

#define RIGHTS (UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_DAC_READ_SEARCH)

static const int allowed[] = {
	SCMP_SYS(access), SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close),
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(faccessat), SCMP_SYS(fcntl), SCMP_SYS(fork), SCMP_SYS(fstat),
	SCMP_SYS(futex), SCMP_SYS(getdents64), SCMP_SYS(geteuid), SCMP_SYS(getpid), SCMP_SYS(getrandom),
	SCMP_SYS(gettid), SCMP_SYS(kill), SCMP_SYS(lseek), SCMP_SYS(lstat), SCMP_SYS(madvise), SCMP_SYS(mremap),
	SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(newfstatat), SCMP_SYS(open), SCMP_SYS(openat),
	SCMP_SYS(pidfd_open), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(read), SCMP_SYS(readlink), SCMP_SYS(readv),
	SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address), SCMP_SYS(stat), SCMP_SYS(swapoff),
	SCMP_SYS(sync), SCMP_SYS(umask), SCMP_SYS(umount2), SCMP_SYS(uname), SCMP_SYS(unlink), SCMP_SYS(wait4),
	SCMP_SYS(waitid), SCMP_SYS(write), SCMP_SYS(writev),
};

/* A system call that only an attacker would make. */
static const int deadly[] = {
	SCMP_SYS(accept), SCMP_SYS(bind), SCMP_SYS(move_mount), SCMP_SYS(open_by_handle_at), SCMP_SYS(open_tree),
	SCMP_SYS(pivot_root), SCMP_SYS(socket), SCMP_SYS(swapon),
};

int teardown_confine(void)
{
	static const struct restriction calls = {
		.lists = {SYSFILTER_LIST(SCMP_ACT_ALLOW, allowed), SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, deadly)},
		.arguments = {
			/* glibc's fork(), which the sanitizers need */
			{SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
			 CLONE_NEWPID | CLONE_NEWNET | 0x02000000 /* CLONE_NEWCGROUP */, 0},
			{SCMP_ACT_ALLOW, SCMP_SYS(mount), 3, MS_REMOUNT, MS_REMOUNT},
			{SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, 0xffffffff, FIFREEZE},
			{SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, 0xffffffff, FITHAW},
			{SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, 0xff00, DM_IOCTL << 8},
		},
	};
	int r = privilege_bound(RIGHTS);

	return r < 0 ? r : restrict_calls(&calls);
}
