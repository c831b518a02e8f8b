/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements confine.h. Each role may write to files below one directory and talk to PID 1. It has its own user, and
 * service-log its own network.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "confine.h"
#include "init/config/check.h"
#include "init/config/format.h"
#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "init/lib/restrict.h"

#define FS_OF_DIRECTORY (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | \
			 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

static const int allowed_calls[] = {
	SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fcntl),
	SCMP_SYS(fdatasync), SCMP_SYS(fstat), SCMP_SYS(fsync), SCMP_SYS(ftruncate), SCMP_SYS(futex), SCMP_SYS(getpid),
	SCMP_SYS(gettid), SCMP_SYS(ioctl), SCMP_SYS(landlock_add_rule), SCMP_SYS(landlock_create_ruleset),
	SCMP_SYS(landlock_restrict_self), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(membarrier), SCMP_SYS(munmap),
	SCMP_SYS(nanosleep), SCMP_SYS(newfstatat), SCMP_SYS(openat), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(renameat),
	SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(set_robust_list), SCMP_SYS(statx), SCMP_SYS(tgkill),
	SCMP_SYS(unlinkat), SCMP_SYS(write), SCMP_SYS(writev),
};

/* glibc, which the sanitizers need, then uses clone(). */
static const int unknown_calls[] = {SCMP_SYS(clone3)};

/* A system call that only an attacker would make: these roles open no socket. */
static const int deadly_calls[] = {SCMP_SYS(socket)};

int logconfine_identity(const char **ret_what)
{
	int r;

	if (geteuid() == 0) {
		*ret_what = "creating the network and IPC namespaces failed";
		if (unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
			return -errno;
		*ret_what = "changing to the log user failed";
		r = privilege_user(LOG_UID, LOG_UID, NULL, 0);
		if (r < 0)
			return r;
	}
	*ret_what = "dropping the capabilities failed";
	return restrict_capabilities();
}

int logconfine_files(int directory)
{
	const struct landlock_place place = {directory, FS_OF_DIRECTORY};

	return landlock_restrict(&(struct landlock){.places = &place, .n_places = 1});
}

int logconfine_calls(size_t address_space, const char **ret_what)
{
	static const struct restriction calls = {
		.threads = true,
		.lists = {SYSFILTER_LIST(SCMP_ACT_ALLOW, allowed_calls),
			  SYSFILTER_LIST(SCMP_ACT_ERRNO(ENOSYS), unknown_calls),
			  SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, deadly_calls)},
		.arguments = {{SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD}},
	};
	int r;

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	setrlimit(RLIMIT_AS, &(struct rlimit){address_space, address_space});
	*ret_what = "restricting files with landlock failed";
	r = logconfine_files(-1);
	if (r < 0)
		return r;
	*ret_what = "installing the system call filter failed";
	return restrict_calls(&calls);
}

static const int opener_calls[] = {
	SCMP_SYS(brk), SCMP_SYS(close), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fchmod), SCMP_SYS(fchown),
	SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(geteuid), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat), SCMP_SYS(munmap), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(read), SCMP_SYS(readv),
	SCMP_SYS(recvfrom), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg),
};

int logconfine_opener(const char **ret_what)
{
	static const struct restriction calls = {.lists[0] = SYSFILTER_LIST(SCMP_ACT_ALLOW, opener_calls)};
	const uint64_t kept = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |
			      UINT64_C(1) << CAP_FSETID;
	_cleanup_(cleanup_close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(cleanup_close) int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct landlock_place places[] = {
		{root, LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_DIR},
		{etc, LANDLOCK_ACCESS_FS_READ_FILE},
	};
	uint64_t permitted, effective;
	int r = capabilities_get(&permitted, &effective);

	*ret_what = "dropping the capabilities failed";
	if (r == 0 && effective & UINT64_C(1) << CAP_SETPCAP)
		r = capabilities_bound(kept);
	if (r == 0)
		r = privilege_no_new();
	if (r == 0)
		r = capabilities_keep(permitted & kept, false);
	if (r < 0)
		return r;
	*ret_what = "restricting files with landlock failed";
	r = landlock_restrict(&(struct landlock){.places = places, .n_places = 2, .scoped = true});
	if (r < 0)
		return r;
	*ret_what = "installing the system call filter failed";
	return restrict_calls(&calls);
}

int logconfine_logger(int directory, const char **ret_what)
{
	static const struct restriction calls = {.lists = {
		SYSFILTER_LIST(SCMP_ACT_ALLOW, allowed_calls),
		SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, deadly_calls),
	}};
	const struct landlock_place place = {directory, FS_OF_DIRECTORY};
	int r = 0;

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	*ret_what = "changing to the logger's user failed";
	if (geteuid() == 0) {
		r = capabilities_bound(0);
		if (r == 0)
			r = privilege_user(LOGGER_UID, LOGGER_UID, NULL, 0);
	}
	if (r < 0)
		return r;
	*ret_what = "dropping the capabilities failed";
	r = restrict_capabilities();
	if (r < 0)
		return r;
	*ret_what = "restricting files with landlock failed";
	r = landlock_restrict(&(struct landlock){.places = &place, .n_places = 1, .scoped = true});
	if (r < 0)
		return r;
	*ret_what = "installing the system call filter failed";
	return restrict_calls(&calls);
}
