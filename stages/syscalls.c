/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements syscalls.h with libseccomp. */
#include "syscalls.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>

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

static int add(scmp_filter_ctx filter, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, calls[i], 0);
	return r;
}

int syscalls_forbid(enum stage_filter kind)
{
	scmp_filter_ctx filter;
	int r;

	if (kind == STAGE_FILTER_NONE)
		return 0;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return -ENOMEM;
	/* Calls of another ABI would not be matched by the rules, so they are not made at all. */
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* no_new_privs is the caller's business: a stage that starts programs goes without. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = add(filter, never, sizeof(never) / sizeof(never[0]));
	if (r == 0 && kind != STAGE_FILTER_MOUNTS)
		r = add(filter, mounting, sizeof(mounting) / sizeof(mounting[0]));
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}
