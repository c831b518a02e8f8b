/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the role service-log may do: write to files below one directory, and talk to PID 1. It is a user of its own in
 * a network of its own; what only an intruder would call ends it.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config-check.h"
#include "logring.h"

#define COUNT(array)    (sizeof(array) / sizeof(*(array)))
#define FS_ALL_1        ((1ULL << 13) - 1)	/* linux/landlock.h: what its first version knows */
#define FS_OF_DIRECTORY (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | \
			 LANDLOCK_ACCESS_FS_REMOVE_FILE)

static const int allowed_calls[] = {
	SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fcntl),
	SCMP_SYS(fdatasync), SCMP_SYS(fstat), SCMP_SYS(fsync), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(ioctl), SCMP_SYS(landlock_add_rule), SCMP_SYS(landlock_create_ruleset),
	SCMP_SYS(landlock_restrict_self), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(membarrier), SCMP_SYS(munmap),
	SCMP_SYS(newfstatat), SCMP_SYS(openat), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pread64), SCMP_SYS(read),
	SCMP_SYS(readv), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(renameat), SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sendmsg), SCMP_SYS(sendto),
	SCMP_SYS(set_robust_list), SCMP_SYS(statx), SCMP_SYS(tgkill), SCMP_SYS(unlinkat), SCMP_SYS(write),
	SCMP_SYS(writev),
};

static const int deadly_calls[] = {
	SCMP_SYS(bpf), SCMP_SYS(chroot), SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(connect), SCMP_SYS(execve),
	SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(init_module), SCMP_SYS(io_uring_setup), SCMP_SYS(kexec_load),
	SCMP_SYS(keyctl), SCMP_SYS(mount), SCMP_SYS(perf_event_open), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace), SCMP_SYS(setns), SCMP_SYS(socket), SCMP_SYS(unshare),
	SCMP_SYS(userfaultfd), SCMP_SYS(vfork),
};

int logconfine_identity(const char **ret_what)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	if (geteuid() == 0) {
		*ret_what = "network";
		if (unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
			return -errno;
		*ret_what = "becoming nobody";
		if (setgroups(0, NULL) < 0 || setresgid(LOG_UID, LOG_UID, LOG_UID) < 0 ||
		    setresuid(LOG_UID, LOG_UID, LOG_UID) < 0)
			return -errno;
	}
	*ret_what = "capabilities";
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int logconfine_files(int directory)
{
	struct {
		uint64_t fs;
	} ruleset = {.fs = FS_ALL_1};
	struct {
		uint64_t allowed;
		int32_t directory;
	} __attribute__((packed)) rule = {FS_OF_DIRECTORY, directory};
	int fd, r = 0;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
		return 0;	/* a kernel without it: the user and the seccomp filter remain */
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	if (fd < 0)
		return -errno;
	if (directory >= 0 && syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		r = -errno;
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int add_rules(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add(filter, action, calls[i], 0);
	return r;
}

static int restrict_calls(void)
{
	const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = add_rules(filter, SCMP_ACT_ALLOW, allowed_calls, COUNT(allowed_calls));
	if (r == 0)
		r = add_rules(filter, SCMP_ACT_KILL_PROCESS, deadly_calls, COUNT(deadly_calls));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

int logconfine_calls(size_t address_space, const char **ret_what)
{
	int r;

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 0});
	setrlimit(RLIMIT_AS, &(struct rlimit){address_space, address_space});
	*ret_what = "files";
	r = logconfine_files(-1);
	if (r < 0)
		return r;
	*ret_what = "system calls";
	return restrict_calls();
}
