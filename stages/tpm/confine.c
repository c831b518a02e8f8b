/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements confine.h. The second filter comes on top of the first: a call needs both. */
#include "confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "init/lib/account.h"
#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "init/lib/sysfilter.h"

#define USER    "gantry-tpm"
#define PASSWD  "/etc/passwd"
#define KEPT    (UINT64_C(1) << CAP_DAC_OVERRIDE)

static const int allowed_calls[] = {
	SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(futex), SCMP_SYS(getpid),
	SCMP_SYS(getrandom), SCMP_SYS(gettid), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(mremap),
	SCMP_SYS(munlock), SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(newfstatat), SCMP_SYS(poll),
	SCMP_SYS(ppoll), SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(setitimer), SCMP_SYS(tgkill), SCMP_SYS(write), SCMP_SYS(writev),
};

/* Until the device is open: to look for it, and for the second step. */
static const int waiting_calls[] = {
	SCMP_SYS(access), SCMP_SYS(capset), SCMP_SYS(faccessat), SCMP_SYS(landlock_add_rule),
	SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_restrict_self), SCMP_SYS(open), SCMP_SYS(openat),
	SCMP_SYS(prctl), SCMP_SYS(seccomp), SCMP_SYS(stat),
};

static const int socket_calls[] = {
	SCMP_SYS(connect), SCMP_SYS(setsockopt), SCMP_SYS(socket),
};

/* What only an intruder would do. */
static const int deadly_calls[] = {
	SCMP_SYS(bpf), SCMP_SYS(chroot), SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(execve), SCMP_SYS(execveat),
	SCMP_SYS(fork), SCMP_SYS(io_uring_setup), SCMP_SYS(mount), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace), SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(vfork),
};

static const struct sysfilter_argument not_executable[] = {
	{SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, PROT_EXEC, 0},
	{SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
};

static void limit(int resource, rlim_t value)
{
	setrlimit(resource, &(struct rlimit){value, value});
}

static int become_user(const char **ret_what)
{
	uid_t uid;
	gid_t gid;
	int r;

	*ret_what = "looking up user " USER " failed";
	r = account_user(PASSWD, USER, &uid, &gid);
	if (r < 0)
		return r;
	*ret_what = "creating the network and IPC namespaces failed";
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
		return -errno;
	*ret_what = "changing to user " USER " failed";
	r = capabilities_bound(KEPT);
	if (r == 0 && prctl(PR_SET_KEEPCAPS, 1) < 0)
		r = -errno;
	return r < 0 ? r : privilege_user(uid, gid, NULL, 0);
}

/* A secret is anywhere on the heap: all memory is locked and in no core dump. */
int tpmconfine_waiting(int directory, bool sockets, const char **ret_what)
{
	struct sysfilter filter = {
		.otherwise = SCMP_ACT_ERRNO(EPERM),
		.other_abi = SCMP_ACT_KILL_PROCESS,
		.lists = {
			SYSFILTER_LIST(SCMP_ACT_ALLOW, allowed_calls),
			SYSFILTER_LIST(SCMP_ACT_ALLOW, waiting_calls),
			SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, deadly_calls),
		},
		.arguments = not_executable,
		.n_arguments = sizeof(not_executable) / sizeof(*not_executable),
	};
	const struct landlock_place place = {directory, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE};
	int r;

	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	r = become_user(ret_what);
	if (r < 0)
		return r;
	limit(RLIMIT_NPROC, 0);
	*ret_what = "dropping the capabilities failed";
	r = prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : privilege_no_new();
	if (r == 0)
		r = capabilities_keep(KEPT, false);
	if (r < 0)
		return r;
	*ret_what = "restricting files with landlock failed";
	r = landlock_restrict(&(struct landlock){.places = &place, .n_places = 1, .scoped = true});
	if (r < 0)
		return r;
	*ret_what = "installing the system call filter failed";
	if (sockets)
		filter.lists[3] = (struct sysfilter_list)SYSFILTER_LIST(SCMP_ACT_ALLOW, socket_calls);
	return sysfilter_load(&filter);
}

int tpmconfine_open(const char **ret_what)
{
	const struct sysfilter filter = {
		.otherwise = SCMP_ACT_ALLOW,
		.other_abi = SCMP_ACT_KILL_PROCESS,
		.lists = {
			SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, waiting_calls),
		},
	};
	int r;

	*ret_what = "dropping the last capability failed";
	r = capabilities_keep(0, false);
	if (r < 0)
		return r;
	*ret_what = "restricting files with landlock failed";
	r = landlock_restrict(&(struct landlock){.scoped = true});
	if (r < 0)
		return r;
	*ret_what = "installing the last system call filter failed";
	return sysfilter_load(&filter);
}
