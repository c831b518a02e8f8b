/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements restrict.h with libseccomp. What only an intruder would call ends the process, so that it is seen;
 * anything else that is on no list fails, because a library's rare path must not take the operator's only window away.
 */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "restrict.h"

/* A program, another process' memory, a way out. */
static const int deadly_calls[] = {
	SCMP_SYS(bpf), SCMP_SYS(chroot), SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(connect), SCMP_SYS(execve),
	SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(init_module), SCMP_SYS(io_uring_setup), SCMP_SYS(kexec_load),
	SCMP_SYS(keyctl), SCMP_SYS(mount), SCMP_SYS(perf_event_open), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace), SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(userfaultfd),
	SCMP_SYS(vfork),
};

static const struct restrict_list deadly = RESTRICT_LIST(SCMP_ACT_KILL_PROCESS, deadly_calls);

int restrict_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

static int add_list(scmp_filter_ctx filter, const struct restrict_list *list)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->n; i++)
		r = seccomp_rule_add(filter, list->action, list->calls[i], 0);
	return r;
}

int restrict_calls(const struct restrict_list *lists, size_t n, bool threads)
{
	const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	r = threads ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) : 0;
	if (r == 0)
		r = add_list(filter, &deadly);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_list(filter, &lists[i]);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}
