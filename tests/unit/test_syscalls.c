/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each filter takes from a stage and what it leaves, each tried for real in a child. */
/* links: stages/syscalls.c init/lib */
/* libs: libseccomp */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gantry/stage.h>

#include "stages/syscalls.h"
#include "test.h"

/* Makes one system call behind the filter: the signal that it ended with, a positive errno, or 0 if it worked. */
static int outcome(unsigned calls, long call, long first)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscalls_restrict(calls) < 0)
			syscall(SYS_exit_group, 99);
		syscall(SYS_exit_group, syscall(call, first, 0, 0, 0, 0) < 0 ? errno : 0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

#define LISTED (STAGE_CALLS_FILES | STAGE_CALLS_FETCH | STAGE_CALLS_NETLINK | STAGE_CALLS_UNIX | STAGE_CALLS_DEVICES | \
		STAGE_CALLS_WORKERS)

TEST(a_stage_is_killed_by_what_only_an_intruder_does)
{
	static const unsigned filters[] = {0, LISTED, STAGE_CALLS_DISKS};
	static const long calls[] = {SYS_unshare, SYS_setns, SYS_finit_module, SYS_kexec_load, SYS_ptrace, SYS_bpf,
				     SYS_chroot, SYS_process_vm_readv};

	for (size_t f = 0; f < sizeof(filters) / sizeof(filters[0]); f++)
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			CHECK_INT(outcome(filters[f], calls[i], 0), calls[i] == SYS_finit_module && filters[f] != STAGE_CALLS_DISKS ?
				  EPERM : SIGSYS);
	CHECK_INT(outcome(LISTED, SYS_mount, 0), SIGSYS);
	CHECK_INT(outcome(LISTED, SYS_execve, 0), SIGSYS);
}

TEST(a_call_on_no_list_fails)
{
	CHECK_INT(outcome(0, SYS_rename, 0), EPERM);
	CHECK_INT(outcome(STAGE_CALLS_FILES, SYS_rename, 0), EFAULT);
	CHECK_INT(outcome(0, SYS_ioctl, 0), EPERM);
	CHECK_INT(outcome(LISTED, SYS_settimeofday, 0), EPERM);
	CHECK_INT(outcome(LISTED & ~(unsigned)STAGE_CALLS_WORKERS, SYS_kill, 0), EPERM);
}

TEST(a_stage_sets_only_its_own_limits)
{
	static const unsigned filters[] = {STAGE_CALLS_WORKERS, LISTED, STAGE_CALLS_DISKS};

	for (size_t f = 0; f < sizeof(filters) / sizeof(filters[0]); f++) {
		CHECK_INT(outcome(filters[f], SYS_prlimit64, getppid()), EPERM);
		CHECK_INT(outcome(filters[f], SYS_prlimit64, 0), 0);
	}
}

TEST(sockets_are_of_the_families_of_the_stage_s_work)
{
	CHECK_INT(outcome(0, SYS_socket, AF_UNIX), EPERM);
	CHECK_INT(outcome(STAGE_CALLS_NETLINK, SYS_socket, AF_INET), EPERM);
	CHECK_INT(outcome(STAGE_CALLS_FETCH, SYS_socket, AF_NETLINK), EPERM);
	CHECK_INT(outcome(LISTED, SYS_socket, AF_PACKET), EPERM);
	CHECK_INT(outcome(STAGE_CALLS_UDP, SYS_socket, AF_INET), ESOCKTNOSUPPORT);	/* by the kernel */
}

TEST(no_filter_lets_clone_make_a_namespace)
{
	CHECK_INT(outcome(0, SYS_clone, CLONE_NEWUSER), SIGSYS);
	CHECK_INT(outcome(LISTED, SYS_clone, CLONE_NEWUSER), EPERM);
	CHECK_INT(outcome(LISTED, SYS_clone, CLONE_NEWUSER | CLONE_THREAD), EPERM);
	CHECK_INT(outcome(LISTED, SYS_clone, CLONE_THREAD), EINVAL);	/* by the kernel: a thread shares its memory */
	CHECK_INT(outcome(LISTED, SYS_clone3, 0), ENOSYS);
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_clone, CLONE_NEWUSER), SIGSYS);
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_clone, CLONE_NEWNS | SIGCHLD), SIGSYS);
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_clone3, 0), ENOSYS);
}

TEST(a_stage_with_disks_mounts)
{
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_mount, 0), EFAULT);
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_socket, AF_NETLINK), ESOCKTNOSUPPORT);	/* by the kernel */
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_socket, AF_UNIX), EPERM);
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_socket, AF_INET), EPERM);
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_connect, 0), EPERM);
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_move_mount, 0), EPERM);
	CHECK_INT(outcome(STAGE_CALLS_DISKS, SYS_pidfd_send_signal, 0), EPERM);
	CHECK_INT(outcome(STAGE_CALLS_ANY, SYS_unshare, 0), 0);
}

TEST(calls_of_the_32_bit_and_x32_abi_are_not_a_way_around)
{
	CHECK_INT(outcome(LISTED, 0x40000000 | SYS_unshare, 0), SIGSYS);
	CHECK_INT(outcome(STAGE_CALLS_DISKS, 0x40000000 | SYS_unshare, 0), SIGSYS);
}
