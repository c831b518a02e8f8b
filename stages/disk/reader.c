/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements reader.h. The child asks nothing of the kernel but memory, and of its descriptor bytes, size and sector
 * size: libblkid's other questions (CD-ROMs, zones, OPAL, sysfs) fail, as they do on a disk that has none of it.
 */
#define _GNU_SOURCE
#include "reader.h"

#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "init/lib/restrict.h"
#include "stages/lib/backoff.h"

#define WAIT_MS      60000	/* for a disk that is slow; parsing takes milliseconds */
#define KILLED_MS    1000	/* a child that waits for its disk may not even end */
#define CPU_S        20
#define CPU_MORE_S   5		/* so that the end comes as SIGXCPU: the kernel sends SIGKILL at the hard limit */
#define MEMORY_BYTES (96u << 20)	/* of addresses, the binary's own included */
#define NOT_CONFINED 126	/* exit status */

static const int calls[] = {
	SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(close), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(fadvise64), SCMP_SYS(fstat), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(getrandom), SCMP_SYS(gettid),
	SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(newfstatat),
	SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_yield), SCMP_SYS(tgkill), SCMP_SYS(tkill),
};

static const struct restriction restriction = {
	.lists[0] = SYSFILTER_LIST(SCMP_ACT_ALLOW, calls),
	.arguments = {
		{SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, UINT32_MAX, BLKGETSIZE64},
		{SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, UINT32_MAX, BLKSSZGET},
	},
};

static const struct landlock no_files = {.tcp = LANDLOCK_NO_TCP, .scoped = true};

/* Descriptor 0 is the disk, or there is none. */
static int keep_descriptor(int fd)
{
	if (fd >= 0 && dup2(fd, STDIN_FILENO) < 0)
		return -errno;
	return syscall(SYS_close_range, fd >= 0 ? STDIN_FILENO + 1 : 0, ~0U, 0) < 0 ? -errno : 0;
}

static int limit_softly(int resource, rlim_t soft, rlim_t hard)
{
	const struct rlimit both = {soft, hard};

	return setrlimit(resource, &both) < 0 ? -errno : 0;
}

static int limit(int resource, rlim_t value)
{
	return limit_softly(resource, value, value);
}

static int limit_all(void)
{
	int r = limit_softly(RLIMIT_CPU, CPU_S, CPU_S + CPU_MORE_S);

	r = r < 0 ? r : limit(RLIMIT_AS, MEMORY_BYTES);
	r = r < 0 ? r : limit(RLIMIT_CORE, 0);
	r = r < 0 ? r : limit(RLIMIT_FSIZE, 0);
	r = r < 0 ? r : limit(RLIMIT_NOFILE, 1);
	return r < 0 ? r : limit(RLIMIT_NPROC, 0);
}

static int confine(int fd, pid_t parent)
{
	int r = 0;

	if (geteuid() == 0)
		r = privilege_user(DISK_READER_UID, DISK_READER_UID, NULL, 0);
	r = r < 0 ? r : restrict_capabilities();
	r = r < 0 ? r : landlock_restrict(&no_files);
	r = r < 0 ? r : keep_descriptor(fd);
	r = r < 0 ? r : limit_all();
	/* After the change of user, which resets it. */
	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && getppid() != parent)
		r = -ESRCH;
	prctl(PR_SET_NAME, "disk-reader", 0, 0, 0);
	return r < 0 ? r : restrict_calls(&restriction);
}

/* The system call itself: at _exit(), a sanitizer looks for leaks, with calls that are no longer there. */
static _Noreturn void end(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

static _Noreturn void child_main(const struct reader_task *task, pid_t parent, void *answer)
{
	if (confine(task->fd, parent) < 0)
		end(NOT_CONFINED);
	task->read(task->fd < 0 ? -1 : STDIN_FILENO, task->question, answer);
	end(0);
}

/* Whether it has ended by then. */
static bool ends_within(int pidfd, int64_t milliseconds)
{
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	int64_t until = time_now_ms() + milliseconds, left;

	while ((left = until - time_now_ms()) > 0)
		if (poll(&fd, 1, (int)left) > 0)
			return true;
	return false;
}

static int judge(const siginfo_t *end, char *why)
{
	if (end->si_code == CLD_EXITED && end->si_status == 0)
		return 0;
	if (end->si_code == CLD_EXITED && end->si_status == NOT_CONFINED) {
		snprintf(why, READER_WHY_MAX, "its reader's rights could not be taken away");
		return -EPERM;
	}
	if (end->si_code == CLD_EXITED)
		snprintf(why, READER_WHY_MAX, "its reader exited with status %d", end->si_status);
	else
		snprintf(why, READER_WHY_MAX, "its reader was ended by signal %d (%s)", end->si_status,
			 strsignal(end->si_status));
	/* As where memory is short: says nothing of the disk. A child that does it itself gains another try. */
	return end->si_code != CLD_EXITED && end->si_status == SIGKILL ? -EAGAIN : -EBADMSG;
}

static int await(pid_t pid, char *why)
{
	_cleanup_(cleanup_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool ended = pidfd >= 0 && ends_within(pidfd, WAIT_MS);
	siginfo_t end = {0};

	if (!ended) {
		kill(pid, SIGKILL);
		if (pidfd >= 0 && !ends_within(pidfd, KILLED_MS)) {
			snprintf(why, READER_WHY_MAX, "its reader does not end");
			return -ETIMEDOUT;
		}
	}
	while (waitid(P_PID, (id_t)pid, &end, WEXITED) < 0 && errno == EINTR)
		;
	if (ended)
		return judge(&end, why);
	snprintf(why, READER_WHY_MAX, "its reader did not end within %d s", WAIT_MS / 1000);
	return -ETIMEDOUT;
}

int reader_ask(const struct reader_task *task, char why[READER_WHY_MAX])
{
	void *shared = mmap(NULL, task->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid(), pid = shared == MAP_FAILED ? -1 : fork();
	int r;

	if (pid == 0)
		child_main(task, parent, shared);
	r = pid < 0 ? -errno : await(pid, why);
	if (pid < 0)
		snprintf(why, READER_WHY_MAX, "its reader was not started: %s", strerror(-r));
	if (r == 0)
		memcpy(task->answer, shared, task->size);
	if (shared != MAP_FAILED)
		munmap(shared, task->size);
	return r;
}
