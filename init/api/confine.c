/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements confine.h. The system calls are an allow list; restrict.c decides what happens on others. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine.h"
#include "init/lib/account.h"
#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "init/lib/restrict.h"

#define USER       "gantry-api"
#define PASSWD     "/etc/passwd"
#define EMPTY_ROOT "/run/gantry/empty"

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

	*what = "looking up user " USER " failed";
	r = account_user(PASSWD, USER, &uid, &gid);
	if (r < 0)
		return r;
	*what = "changing the root to " EMPTY_ROOT " failed";
	if ((mkdir(EMPTY_ROOT, 0555) < 0 && errno != EEXIST) || chroot(EMPTY_ROOT) < 0 || chdir("/") < 0)
		return -errno;
	*what = "changing to user " USER " failed";
	return privilege_user(uid, gid, NULL, 0);
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

/* Of TCP, for roles with a network. libmicrohttpd takes EINVAL as "no TCP" and does not ask before each answer. */
static const int tcp_calls[] = {SCMP_SYS(setsockopt)};

/* Also fatal: opening files, which these roles never do. */
static const int deadly_calls[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2)};

static int confine_calls(bool network)
{
	const struct restriction calls = {.lists = {
		SYSFILTER_LIST(SCMP_ACT_ALLOW, allowed_calls),
		SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, deadly_calls),
		SYSFILTER_LIST(network ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS, network_calls),
		SYSFILTER_LIST(network ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EINVAL), tcp_calls),
	}};

	return restrict_calls(&calls);
}

int confine(const struct confinement *c, const char **ret_what)
{
	const struct landlock files = {.tcp = c->network ? LANDLOCK_BINDS : LANDLOCK_NO_TCP, .port = c->port,
				       .scoped = true};
	int r = 0;

	*ret_what = "creating the network and IPC namespaces failed";
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
	*ret_what = "dropping the capabilities failed";
	r = restrict_capabilities();
	if (r < 0)
		return r;
	*ret_what = "restricting files and network with landlock failed";
	r = landlock_restrict(&files);
	if (r < 0)
		return r;
	*ret_what = "installing the system call filter failed";
	return confine_calls(c->network);
}
