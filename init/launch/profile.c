/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements profile.h. `default` refuses the calls that load code into the kernel, turn the machine off, change
 * mounts and namespaces, read other processes, or have a history of vulnerabilities and hardly a service that uses
 * them; `clock` refuses the same but for setting the clock. It is a deny list: programs that are not ours use new
 * system calls with each release, and a node must not stop on one.
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>

#include "init/lib/sysfilter.h"
#include "profile.h"

static const int refused[] = {
	/* the kernel itself, and the machine */
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(iopl),
	SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(syslog), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
	SCMP_SYS(vhangup), SCMP_SYS(acct),
	/* file systems and namespaces */
	SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
	SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(fsconfig),
	SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(unshare), SCMP_SYS(setns),
	/* other processes, and the kernel's keys */
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp), SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
	/* large, and a way around much of this */
	SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
};

/* Setting the clock. */
static const int clock_calls[] = {
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex),
};

/* clone3() has its flags where no filter sees them; at ENOSYS, libc uses clone(). */
static const int unknown[] = {SCMP_SYS(clone3)};

static const struct sysfilter_argument namespaces[] = {SYSFILTER_NAMESPACES(SCMP_ACT_ERRNO(EPERM))};

/* The numbers of another ABI are not ours: a filter that let them pass would be none. */
#define PROFILE(...) { \
	.otherwise = SCMP_ACT_ALLOW, \
	.other_abi = SCMP_ACT_ERRNO(EPERM), \
	.lists = {SYSFILTER_LIST(SCMP_ACT_ERRNO(EPERM), refused), SYSFILTER_LIST(SCMP_ACT_ERRNO(ENOSYS), unknown), \
		  __VA_ARGS__}, \
	.arguments = namespaces, \
	.n_arguments = sizeof(namespaces) / sizeof(namespaces[0]), \
}

static const struct {
	const char *name;
	struct sysfilter filter;
} profiles[] = {
	{"default", PROFILE(SYSFILTER_LIST(SCMP_ACT_ERRNO(EPERM), clock_calls))},
	{"clock", PROFILE({0})},
};

int profile_own_limits(void)
{
	static const struct sysfilter_argument others[] = {{SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 0, 0, 0}};
	const struct sysfilter filter = {
		.otherwise = SCMP_ACT_ALLOW,
		.other_abi = SCMP_ACT_ERRNO(EPERM),
		.arguments = others,
		.n_arguments = 1,
	};

	return sysfilter_load(&filter);
}

int profile_load(const char *name)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
		if (!strcmp(profiles[i].name, name))
			return sysfilter_load(&profiles[i].filter);
	return -ENOENT;
}
