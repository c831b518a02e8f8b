/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements relay-rights.h. No call opens, makes or signals anything, so landlock has nothing to add. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gantry/role.h>

#include "init/lib/privilege.h"
#include "init/lib/restrict.h"
#include "mover.h"
#include "relay-rights.h"

#define DESCRIPTORS 65536

static const int allowed_calls[] = {
	SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait2), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(madvise),
	SCMP_SYS(membarrier), SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(poll), SCMP_SYS(read), SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sendto),
	SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address),
};

/* glibc, which the sanitizers need, then uses clone(). */
static const int unknown_calls[] = {SCMP_SYS(clone3)};

/* 0 or negative errno. The kernel does not end this process for want of memory: output of all would be lost. */
static int give_up(void)
{
	static const struct restriction calls = {
		.lists = {SYSFILTER_LIST(SCMP_ACT_ALLOW, allowed_calls),
			  SYSFILTER_LIST(SCMP_ACT_ERRNO(ENOSYS), unknown_calls)},
		.arguments = {{SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD}},
	};
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC), r = 0;

	if (fd >= 0) {
		(void)!write(fd, "-1000", 5);
		close(fd);
	}
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){DESCRIPTORS, DESCRIPTORS});
	if (geteuid() == 0) {
		r = capabilities_bound(0);
		if (r == 0)
			r = privilege_user(RELAY_UID, RELAY_UID, NULL, 0);
	}
	if (r == 0)
		r = restrict_capabilities();
	return r < 0 ? r : restrict_calls(&calls);
}

_Noreturn void relay_serve(int channel)
{
	mover_serve(channel, give_up);
}
