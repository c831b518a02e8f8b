/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements restrict.h. A call that only an intruder would make ends the process, so that it is seen; any other call
 * on no list fails, because a library's rare path must not take the operator's only window away.
 */
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "privilege.h"
#include "restrict.h"

/* A program, another process' memory, a way out. */
static const int deadly_calls[] = {
	SCMP_SYS(bpf), SCMP_SYS(chroot), SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(connect), SCMP_SYS(execve),
	SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(init_module), SCMP_SYS(io_uring_setup), SCMP_SYS(kexec_load),
	SCMP_SYS(keyctl), SCMP_SYS(mount), SCMP_SYS(perf_event_open), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace), SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(userfaultfd),
	SCMP_SYS(vfork),
};

/* An attacker could write code into executable memory. */
static const struct sysfilter_argument not_executable[] = {
	{SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, PROT_EXEC, 0},
	{SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
};

#define ARGUMENTS_OWN (sizeof(not_executable) / sizeof(not_executable[0]))

int restrict_capabilities(void)
{
	int r = prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : privilege_no_new();

	return r < 0 ? r : capabilities_keep(0, false);
}

int restrict_calls(const struct restriction *with)
{
	struct sysfilter_argument arguments[ARGUMENTS_OWN + sizeof(with->arguments) / sizeof(with->arguments[0])];
	struct sysfilter filter = {
		.otherwise = SCMP_ACT_ERRNO(EPERM),
		.other_abi = SCMP_ACT_KILL_PROCESS,
		.threads = with->threads,
		.lists[SYSFILTER_LISTS_MAX - 1] = SYSFILTER_LIST(SCMP_ACT_KILL_PROCESS, deadly_calls),
		.arguments = arguments,
		.n_arguments = ARGUMENTS_OWN,
	};

	memcpy(filter.lists, with->lists, sizeof(with->lists));
	memcpy(arguments, not_executable, sizeof(not_executable));
	for (size_t i = 0; i < sizeof(with->arguments) / sizeof(with->arguments[0]); i++)
		if (with->arguments[i].action)
			arguments[filter.n_arguments++] = with->arguments[i];
	return sysfilter_load(&filter);
}
