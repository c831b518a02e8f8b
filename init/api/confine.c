/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements confine.h. The list of system calls is one of what is allowed; restrict.c says what becomes of others. */
#include <errno.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"
#include "init/lib/account.h"
#include "init/lib/restrict.h"

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

/* Beside what no role calls: a file. */
static const int deadly_calls[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2)};

static int confine_calls(bool network)
{
	const struct restrict_list lists[] = {
		RESTRICT_LIST(SCMP_ACT_ALLOW, allowed_calls),
		RESTRICT_LIST(SCMP_ACT_KILL_PROCESS, deadly_calls),
		RESTRICT_LIST(network ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS, network_calls),
		RESTRICT_LIST(network ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EINVAL), tcp_calls),
	};

	return restrict_calls(lists, sizeof(lists) / sizeof(lists[0]), false);
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
	r = restrict_capabilities();
	if (r < 0)
		return r;
	*ret_what = "landlock";
	r = restrict_files(c);
	if (r < 0)
		return r;
	*ret_what = "system calls";
	return confine_calls(c->network);
}
