/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the filter takes from a stage and what it leaves, each tried for real in a child. */
/* links: stages/syscalls.c init/lib */
/* libs: libseccomp */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stages/syscalls.h"
#include "test.h"

/* Makes one system call behind the filter: its signal, or the errno it came back with, or 0. */
static int outcome_of(enum stage_filter filter, long call, long flags)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscalls_forbid(filter) < 0)
			_exit(99);
		_exit(syscall(call, flags, 0, 0, 0, 0) < 0 ? errno : 0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/* With arguments that do nothing: its signal, or 0 if it came back. */
static int signal_of(enum stage_filter filter, long call)
{
	int outcome = outcome_of(filter, call, 0);

	return outcome == SIGSYS ? outcome : 0;
}

TEST(a_strict_stage_is_killed_by_what_it_has_no_business_with)
{
	CHECK_INT(signal_of(STAGE_FILTER_STRICT, SYS_unshare), SIGSYS);
	CHECK_INT(signal_of(STAGE_FILTER_STRICT, SYS_finit_module), SIGSYS);
	CHECK_INT(signal_of(STAGE_FILTER_STRICT, SYS_kexec_load), SIGSYS);
	CHECK_INT(signal_of(STAGE_FILTER_STRICT, SYS_ptrace), SIGSYS);
	CHECK_INT(signal_of(STAGE_FILTER_STRICT, SYS_bpf), SIGSYS);
	CHECK_INT(signal_of(STAGE_FILTER_STRICT, SYS_mount), SIGSYS);
}

TEST(a_mounting_stage_may_mount_and_nothing_more)
{
	CHECK_INT(signal_of(STAGE_FILTER_MOUNTS, SYS_mount), 0);
	CHECK_INT(signal_of(STAGE_FILTER_MOUNTS, SYS_umount2), 0);
	CHECK_INT(signal_of(STAGE_FILTER_MOUNTS, SYS_unshare), SIGSYS);
}

TEST(ordinary_calls_are_left_alone)
{
	CHECK_INT(signal_of(STAGE_FILTER_STRICT, SYS_getpid), 0);
	CHECK_INT(signal_of(STAGE_FILTER_STRICT, SYS_socket), 0);
	CHECK_INT(signal_of(STAGE_FILTER_NONE, SYS_bpf), 0);
}

TEST(calls_of_the_32_bit_and_x32_abi_are_not_a_way_around)
{
	CHECK_INT(signal_of(STAGE_FILTER_STRICT, 0x40000000 | SYS_unshare), SIGSYS);
}

TEST(a_clone_that_makes_a_namespace_ends_the_stage)
{
	static const long flags[] = {CLONE_NEWNS, 0x02000000, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID,
				     CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		for (int kind = STAGE_FILTER_STRICT; kind <= STAGE_FILTER_MOUNTS; kind++)
			CHECK_INT(outcome_of(kind, SYS_clone, flags[i] | SIGCHLD), SIGSYS);
}

TEST(clone3_is_unknown_so_that_libc_uses_clone_which_works)
{
	CHECK_INT(outcome_of(STAGE_FILTER_STRICT, SYS_clone3, 0), ENOSYS);
	CHECK_INT(outcome_of(STAGE_FILTER_STRICT, SYS_clone, SIGCHLD), 0);
}
