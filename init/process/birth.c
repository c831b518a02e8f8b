/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements birth.h. Fails before the clone where possible, since the child can report only an exit status. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/role.h>
#include <gantry/stage.h>

#include "birth.h"

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

#define LAST_SIGNAL 64

static int binary_fd = -1;			/* the file that PID 1 itself runs */
static void (*launch)(const char *service);	/* does not return */

/*
 * A path can be given to another file later, so the roles are executed from this descriptor. /proc is exact, but is not
 * mounted yet when the kernel starts PID 1; the path that it executed is as good then, since nothing else has run.
 */
static int open_binary(void)
{
	const char *path = (const char *)getauxval(AT_EXECFN);
	int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);

	return fd >= 0 ? fd : open(path ? path : GANTRY_BINARY, O_PATH | O_CLOEXEC);
}

void birth_init(void (*with)(const char *service))
{
	launch = with;
	binary_fd = open_binary();
}

void birth_close(unsigned first, unsigned last)
{
	unsigned kept = (unsigned)binary_fd;	/* if there is none: above all others */

	if (kept < first || kept > last) {
		syscall(SYS_close_range, first, last, 0);
		return;
	}
	if (kept > first)
		syscall(SYS_close_range, first, kept - 1, 0);
	if (kept < last)
		syscall(SYS_close_range, kept + 1, last, 0);
}

/* By system call, since libc refuses to change the signals it reserves. */
void birth_default_signals(void)
{
	static const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} by_default;
	sigset_t none;

	for (int sig = 1; sig <= LAST_SIGNAL; sig++)
		syscall(SYS_rt_sigaction, sig, &by_default, NULL, sizeof(by_default.mask));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * The kernel gives its first process 1024 and 4096, too few for a server; PID 1 has raised its own for itself alone.
 * The soft limit stays what programs with select(2) rely on: those that need more raise it themselves.
 */
static void limit_descriptors(void)
{
	struct rlimit limit = {BIRTH_NOFILE_SOFT, BIRTH_NOFILE_HARD};

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max < BIRTH_NOFILE_SOFT ? limit.rlim_max : BIRTH_NOFILE_SOFT;
	setrlimit(RLIMIT_NOFILE, &limit);
}

_Noreturn static void become(const struct birth *birth)
{
	static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	const char *argv[BIRTH_ARGS_MAX + 2] = {GANTRY_BINARY};
	sigset_t none;

	for (size_t n = 0; n < BIRTH_ARGS_MAX && birth->argv[n]; n++)
		argv[n + 1] = birth->argv[n];
	setsid();
	if (dup2(birth->null_fd, 0) < 0 || dup2(birth->out_fd, 1) < 0 || dup2(birth->err_fd, 2) < 0 ||
	    dup3(birth->channel_fd, 3, birth->service ? O_CLOEXEC : 0) < 0)
		_exit(STAGE_AGAIN);
	/*
	 * All processes of a service with a log share a description: undo flags (O_NONBLOCK) that an earlier one set.
	 * Not in PID 1: where O_ASYNC was set, this waits for those who hold the pipe.
	 */
	(void)fcntl(1, F_SETFL, 0);
	(void)fcntl(2, F_SETFL, 0);
	if (birth->options_fd >= 0 && dup2(birth->options_fd, 4) < 0)
		_exit(STAGE_AGAIN);
	if (birth->payload_fd >= 0 && dup2(birth->payload_fd, 5) < 0)
		_exit(STAGE_AGAIN);
	birth_close(birth->payload_fd >= 0 ? 6 : birth->options_fd >= 0 ? 5 : 4, ~0U);
	if (birth->options_fd >= 0)
		lseek(4, 0, SEEK_SET);
	limit_descriptors();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (birth->service) {
		prctl(PR_SET_NAME, "launch");
		launch(birth->service);
		_exit(STAGE_NEVER);
	}
	syscall(SYS_execveat, binary_fd, "", argv, environment, AT_EMPTY_PATH);
	dprintf(2, "cannot execute gantry's own file: %s\n", strerror(errno));
	_exit(STAGE_NEVER);
}

/* Clones into the cgroup, or into the caller's where the kernel refuses this one. Returns as fork(). */
static pid_t clone_into(int cgroup_fd, uint64_t flags, uint64_t exit_signal)
{
	struct clone_args args = {.flags = flags, .exit_signal = exit_signal};
	pid_t pid;

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
		if (pid >= 0 || (errno != EBUSY && errno != EOPNOTSUPP && errno != ENODEV && errno != EACCES))
			return pid;
		args.flags = flags;
		args.cgroup = 0;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

pid_t birth_clone(const struct birth *birth, bool for_parent)
{
	pid_t pid;

	/* With CLONE_PARENT the kernel takes the caller's own exit signal, SIGCHLD, and exit_signal must be 0. */
	pid = clone_into(birth->cgroup_fd, CLONE_CLEAR_SIGHAND | (for_parent ? CLONE_PARENT : 0),
			 for_parent ? 0 : SIGCHLD);
	if (pid == 0)
		become(birth);
	return pid < 0 ? -errno : pid;
}
