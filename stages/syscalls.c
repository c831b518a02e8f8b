/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements syscalls.h. */
#include "syscalls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>

#include "init/lib/sysfilter.h"

static const int never[] = {
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(reboot),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(pivot_root), SCMP_SYS(open_by_handle_at),
	SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(swapoff),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex),
	SCMP_SYS(personality), SCMP_SYS(vhangup), SCMP_SYS(lookup_dcookie), SCMP_SYS(modify_ldt),
};

static const int mounting[] = {
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen),
	SCMP_SYS(fsmount), SCMP_SYS(fsconfig), SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(swapon),
};

static const int unknown[] = {SCMP_SYS(clone3)};

static const struct sysfilter_argument namespaces[] = {SYSFILTER_NAMESPACES(SCMP_ACT_KILL_PROCESS)};

int syscalls_forbid(enum stage_filter kind)
{
	struct sysfilter filter = {
		.otherwise = SCMP_ACT_ALLOW,
		/* Calls of another ABI would not be matched by the lists, so they are not made at all. */
		.other_abi = SCMP_ACT_KILL_PROCESS,
		.lists = {SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, never),
			  SYSFILTER_LIST(SCMP_ACT_ERRNO(ENOSYS), unknown)},
		.arguments = namespaces,
		.n_arguments = sizeof(namespaces) / sizeof(*namespaces),
	};

	if (kind == STAGE_FILTER_NONE)
		return 0;
	if (kind != STAGE_FILTER_MOUNTS)
		filter.lists[2] = (struct sysfilter_list)SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, mounting);
	return sysfilter_load(&filter);
}
