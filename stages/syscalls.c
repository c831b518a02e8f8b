/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements syscalls.h: lists of what each kind of work needs. They are what strace(1) shows of the component tests,
 * and what libc and the resolver use on other paths.
 */
#include "syscalls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <gantry/stage.h>

#include "init/lib/restrict.h"
#include "init/lib/sysfilter.h"

#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
		    CLONE_NEWNET)

/* Memory, time, reading files, and the report socket. */
static const int all[] = {
	SCMP_SYS(access), SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close),
	SCMP_SYS(dup), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(faccessat), SCMP_SYS(fcntl), SCMP_SYS(fstat),
	SCMP_SYS(fstatfs), SCMP_SYS(futex), SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid),
	SCMP_SYS(getppid), SCMP_SYS(getrandom), SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(getuid),
	SCMP_SYS(lseek), SCMP_SYS(lstat), SCMP_SYS(madvise), SCMP_SYS(memfd_create), SCMP_SYS(mlock), SCMP_SYS(mremap),
	SCMP_SYS(munlock), SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(newfstatat), SCMP_SYS(open),
	SCMP_SYS(openat), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readlink),
	SCMP_SYS(readlinkat), SCMP_SYS(readv), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_yield),
	SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(stat), SCMP_SYS(statx), SCMP_SYS(tgkill), SCMP_SYS(write),
	SCMP_SYS(writev),
};

/* Owner and mode by descriptor alone: landlock asks who opens a file, but not who changes these of a path. */
static const int files[] = {
	SCMP_SYS(faccessat2), SCMP_SYS(fallocate), SCMP_SYS(fchmod), SCMP_SYS(fchown), SCMP_SYS(fdatasync),
	SCMP_SYS(fsync), SCMP_SYS(ftruncate), SCMP_SYS(getdents64), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
	SCMP_SYS(pwrite64), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(rmdir),
	SCMP_SYS(unlink), SCMP_SYS(unlinkat),
};

static const int fetch[] = {
	SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(eventfd2), SCMP_SYS(getpeername), SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt), SCMP_SYS(membarrier), SCMP_SYS(pipe2), SCMP_SYS(recvmmsg), SCMP_SYS(sendmmsg),
	SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address), SCMP_SYS(setsockopt), SCMP_SYS(shutdown),
	SCMP_SYS(sigaltstack), SCMP_SYS(socketpair),
};

static const int netlink[] = {
	SCMP_SYS(bind), SCMP_SYS(getdents64), SCMP_SYS(getsockname), SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_init1), SCMP_SYS(setsockopt),
};

static const int by_path[] = {SCMP_SYS(bind), SCMP_SYS(chmod), SCMP_SYS(connect), SCMP_SYS(unlink)};

static const int devices[] = {SCMP_SYS(ioctl)};

static const int workers[] = {
	SCMP_SYS(capget), SCMP_SYS(capset), SCMP_SYS(close_range), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fork),
	SCMP_SYS(kill), SCMP_SYS(landlock_add_rule), SCMP_SYS(landlock_create_ruleset),
	SCMP_SYS(landlock_restrict_self), SCMP_SYS(mlockall), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(pipe2), SCMP_SYS(prctl), SCMP_SYS(seccomp), SCMP_SYS(set_robust_list),
	SCMP_SYS(set_tid_address), SCMP_SYS(setsid),
	SCMP_SYS(socketpair), SCMP_SYS(statfs), SCMP_SYS(sync_file_range), SCMP_SYS(syncfs), SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime), SCMP_SYS(vfork), SCMP_SYS(wait4), SCMP_SYS(waitid),
};

/* clone3() has its flags where no filter sees them; at ENOSYS, libc uses clone(). */
static const int unknown[] = {SCMP_SYS(clone3)};

#define SOCKET(family) {SCMP_ACT_ALLOW, SCMP_SYS(socket), 0, ~0ULL, (family)}

static const struct {
	unsigned of;
	struct sysfilter_list list;
} lists[] = {
	{STAGE_CALLS_FILES, SYSFILTER_LIST(SCMP_ACT_ALLOW, files)},
	{STAGE_CALLS_FETCH, SYSFILTER_LIST(SCMP_ACT_ALLOW, fetch)},
	{STAGE_CALLS_FETCH, SYSFILTER_LIST(SCMP_ACT_ERRNO(ENOSYS), unknown)},
	{STAGE_CALLS_NETLINK, SYSFILTER_LIST(SCMP_ACT_ALLOW, netlink)},
	{STAGE_CALLS_UNIX, SYSFILTER_LIST(SCMP_ACT_ALLOW, by_path)},
	{STAGE_CALLS_DEVICES, SYSFILTER_LIST(SCMP_ACT_ALLOW, devices)},
	{STAGE_CALLS_WORKERS, SYSFILTER_LIST(SCMP_ACT_ALLOW, workers)},
};

static const struct {
	unsigned of;
	struct sysfilter_argument argument;
} arguments[] = {
	{STAGE_CALLS_FETCH | STAGE_CALLS_UDP, SOCKET(AF_INET)},
	{STAGE_CALLS_FETCH, SOCKET(AF_INET6)},
	/* a thread, and no namespace with it */
	{STAGE_CALLS_FETCH, {SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, NAMESPACES | CLONE_THREAD, CLONE_THREAD}},
	{STAGE_CALLS_NETLINK, SOCKET(AF_NETLINK)},
	{STAGE_CALLS_UNIX, SOCKET(AF_UNIX)},
	{STAGE_CALLS_WORKERS, SYSFILTER_OWN_LIMITS},
	/* glibc's fork(), which the sanitizers need */
	{STAGE_CALLS_WORKERS, {SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, NAMESPACES, 0}},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static int allow_listed(unsigned calls)
{
	struct restriction r = {.lists[0] = SYSFILTER_LIST(SCMP_ACT_ALLOW, all)};
	size_t n_lists = 1, n_arguments = 0;

	_Static_assert(COUNT(lists) < COUNT(r.lists) && COUNT(arguments) <= COUNT(r.arguments), "all have a place");
	for (size_t i = 0; i < COUNT(lists); i++)
		if (calls & lists[i].of)
			r.lists[n_lists++] = lists[i].list;
	for (size_t i = 0; i < COUNT(arguments); i++)
		if (calls & arguments[i].of)
			r.arguments[n_arguments++] = arguments[i].argument;
	return restrict_calls(&r);
}

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

/*
 * Mounts, devices, the kernel's ciphers and keys, programs; and all that its children keep of it, since no filter gives
 * back what this one takes. They are the calls in the stage's code, in all of libcryptsetup, libdevmapper and libblkid
 * that it links, and in the programs that it executes.
 */
static const int disks[] = {
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(add_key), SCMP_SYS(arch_prctl), SCMP_SYS(bind), SCMP_SYS(capget),
	SCMP_SYS(capset), SCMP_SYS(close_range), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(eventfd2), SCMP_SYS(execve),
	SCMP_SYS(faccessat2), SCMP_SYS(fadvise64), SCMP_SYS(flock), SCMP_SYS(fork), SCMP_SYS(getcwd),
	SCMP_SYS(getpriority), SCMP_SYS(getresgid), SCMP_SYS(getresuid), SCMP_SYS(getrlimit), SCMP_SYS(getrusage),
	SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(ioctl), SCMP_SYS(keyctl), SCMP_SYS(kill),
	SCMP_SYS(landlock_add_rule), SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_restrict_self),
	SCMP_SYS(lchown), SCMP_SYS(membarrier), SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(mlock2),
	SCMP_SYS(mlockall), SCMP_SYS(mmap), SCMP_SYS(mount), SCMP_SYS(mprotect), SCMP_SYS(munlockall),
	SCMP_SYS(pidfd_open), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(prctl),
	SCMP_SYS(request_key), SCMP_SYS(rseq), SCMP_SYS(sched_getaffinity), SCMP_SYS(seccomp), SCMP_SYS(select),
	SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address), SCMP_SYS(setgroups), SCMP_SYS(setpgid),
	SCMP_SYS(setpriority), SCMP_SYS(setresgid), SCMP_SYS(setresuid), SCMP_SYS(setrlimit), SCMP_SYS(setsockopt),
	SCMP_SYS(sigaltstack), SCMP_SYS(statfs), SCMP_SYS(swapon), SCMP_SYS(sync), SCMP_SYS(sync_file_range),
	SCMP_SYS(syncfs), SCMP_SYS(sysinfo), SCMP_SYS(time), SCMP_SYS(tkill), SCMP_SYS(umask), SCMP_SYS(umount2),
	SCMP_SYS(uname), SCMP_SYS(wait4), SCMP_SYS(waitid),
};

/* Uevents, and the kernel's ciphers; a thread or a process, and no namespace with it. */
static const struct sysfilter_argument disk_arguments[] = {
	SOCKET(AF_NETLINK), SOCKET(AF_ALG),
	SYSFILTER_OWN_LIMITS,
	{SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, NAMESPACES, 0},
	SYSFILTER_NAMESPACES(SCMP_ACT_KILL_PROCESS),
};

/* Its programs may have a dynamic loader, which maps code. */
static int allow_disks(void)
{
	const struct sysfilter filter = {
		.otherwise = SCMP_ACT_ERRNO(EPERM),
		/* Calls of another ABI would not be matched by the lists, so they are not made at all. */
		.other_abi = SCMP_ACT_KILL_PROCESS,
		.lists = {SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, never), SYSFILTER_LIST(SCMP_ACT_ERRNO(ENOSYS), unknown),
			  SYSFILTER_LIST(SCMP_ACT_ALLOW, all), SYSFILTER_LIST(SCMP_ACT_ALLOW, files),
			  SYSFILTER_LIST(SCMP_ACT_ALLOW, disks)},
		.arguments = disk_arguments,
		.n_arguments = COUNT(disk_arguments),
	};

	return sysfilter_load(&filter);
}

int syscalls_restrict(unsigned calls)
{
	if (calls & STAGE_CALLS_ANY)
		return 0;
	return calls & STAGE_CALLS_DISKS ? allow_disks() : allow_listed(calls);
}
