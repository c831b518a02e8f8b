/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements confine.h. The list of system calls is one of what is allowed. What only an intruder would call ends the
 * process, so that it is seen; anything else that is not on the list fails, because a library's rare path must not
 * take the operator's only window away.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../account.h"
#include "confine.h"

#define USER       "gantry-api"
#define PASSWD     "/etc/passwd"
#define EMPTY_ROOT "/run/gantry/empty"

/* linux/landlock.h of older kernels' headers stops before these. */
#define FS_ALL_1        ((1ULL << 13) - 1)
#define FS_REFER        (1ULL << 13)
#define FS_TRUNCATE     (1ULL << 14)
#define FS_IOCTL        (1ULL << 15)
#define NET_BIND        (1ULL << 0)
#define NET_CONNECT     (1ULL << 1)
#define RULE_NET_PORT   2

static void limit(int resource, rlim_t value)
{
	setrlimit(resource, &(struct rlimit){value, value});
}

/* As many as it may have, if that is fewer. */
static void limit_descriptors(rlim_t wanted)
{
	struct rlimit now;

	if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){wanted, wanted}) == 0 || getrlimit(RLIMIT_NOFILE, &now) < 0)
		return;
	now.rlim_cur = now.rlim_max = now.rlim_max < wanted ? now.rlim_max : wanted;
	setrlimit(RLIMIT_NOFILE, &now);
}

static int become_user(const char **what)
{
	uid_t uid;
	gid_t gid;
	int r;

	*what = "user " USER;
	r = account_user(PASSWD, USER, &uid, &gid);
	if (r < 0)
		return r;
	*what = EMPTY_ROOT;
	if ((mkdir(EMPTY_ROOT, 0555) < 0 && errno != EEXIST) || chroot(EMPTY_ROOT) < 0 || chdir("/") < 0)
		return -errno;
	*what = "becoming " USER;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

/*
 * No rule allows a file; with a network, only its own port may be bound. A kernel without landlock: the root is
 * empty.
 */
static int restrict_files(const struct confinement *c)
{
	struct {
		uint64_t fs, net;
	} ruleset = {.fs = FS_ALL_1};
	struct {
		uint64_t allowed, port;
	} __attribute__((packed)) rule = {NET_BIND, c->port};
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	size_t size = version >= 4 ? sizeof(ruleset) : sizeof(ruleset.fs);
	int fd, r = 0;

	if (version < 1)
		return 0;
	ruleset.fs |= (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL : 0);
	ruleset.net = version >= 4 ? NET_BIND | NET_CONNECT : 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return -errno;
	if (version >= 4 && c->network && syscall(SYS_landlock_add_rule, fd, RULE_NET_PORT, &rule, 0) < 0)
		r = -errno;
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	close(fd);
	return r;
}

static const int allowed_calls[] = {
	SCMP_SYS(accept4), SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(close), SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(ftruncate), SCMP_SYS(futex),
	SCMP_SYS(getpeername), SCMP_SYS(getpid), SCMP_SYS(getrandom), SCMP_SYS(getsockname), SCMP_SYS(getsockopt),
	SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(memfd_create),
	SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(newfstatat), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(signalfd4), SCMP_SYS(shutdown), SCMP_SYS(socketpair),
	SCMP_SYS(tgkill), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(write), SCMP_SYS(writev),
};

static const int network_calls[] = {SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(socket)};

/* Of TCP, which only who has a network has. EINVAL lets libmicrohttpd know that: it does not ask before each answer. */
static const int tcp_calls[] = {SCMP_SYS(setsockopt)};

/* Nobody but an intruder: a program, a file, a way out, another process' memory. */
static const int deadly_calls[] = {
	SCMP_SYS(bpf), SCMP_SYS(chroot), SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(connect), SCMP_SYS(execve),
	SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(init_module), SCMP_SYS(io_uring_setup),
	SCMP_SYS(kexec_load), SCMP_SYS(keyctl),
	SCMP_SYS(mount), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(perf_event_open),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace), SCMP_SYS(setns), SCMP_SYS(unshare),
	SCMP_SYS(userfaultfd), SCMP_SYS(vfork),
};

static int add_rules(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add(filter, action, calls[i], 0);
	return r;
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static int restrict_calls(const struct confinement *c)
{
	const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const uint32_t network = c->network ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS;
	const uint32_t tcp = c->network ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EINVAL);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	r = add_rules(filter, SCMP_ACT_ALLOW, allowed_calls, COUNT(allowed_calls));
	if (r == 0)
		r = add_rules(filter, SCMP_ACT_KILL_PROCESS, deadly_calls, COUNT(deadly_calls));
	if (r == 0)
		r = add_rules(filter, network, network_calls, COUNT(network_calls));
	if (r == 0)
		r = add_rules(filter, tcp, tcp_calls, COUNT(tcp_calls));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

int confine(const struct confinement *c, const char **ret_what)
{
	int r = 0;

	*ret_what = "network";
	limit_descriptors(c->descriptors);
	if (geteuid() == 0) {
		if (!c->network && unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
			return -errno;
		r = become_user(ret_what);
		if (r < 0)
			return r;
	}
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, c->file_bytes);
	limit(RLIMIT_NPROC, 0);
	limit(RLIMIT_AS, c->address_space);
	*ret_what = "capabilities";
	r = drop_capabilities();
	if (r < 0)
		return r;
	*ret_what = "landlock";
	r = restrict_files(c);
	if (r < 0)
		return r;
	*ret_what = "system calls";
	return restrict_calls(c);
}
