/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a role of ours has given up, each tried for real in a child: capabilities, files, calls, executable memory. */
/* links: init/lib */
/* libs: libseccomp */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <seccomp.h>

#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "init/lib/restrict.h"
#include "test.h"

/* In a child: its exit status, or 1000 and the signal. The sanitizers' own end needs calls that are no longer there. */
static int status_of(int (*run)(void))
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		int r = run();

		syscall(SYS_exit_group, r);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* A positive errno of a call, 0: it worked. */
static int error_of(long r)
{
	return r < 0 ? errno : 0;
}

/* ptrace() is one that ends a process which does not list it. */
static const int allowed[] = {SCMP_SYS(exit_group), SCMP_SYS(getpid), SCMP_SYS(ptrace)};
static const int other[] = {SCMP_SYS(getppid)};

static int restricted(void)
{
	const struct restriction calls = {
		.lists = {SYSFILTER_LIST(SCMP_ACT_ALLOW, allowed), SYSFILTER_LIST(SCMP_ACT_ERRNO(EINVAL), other)},
		.arguments = {{SCMP_ACT_ALLOW, SCMP_SYS(socket), 0, ~0ULL, AF_INET}},
	};

	return restrict_capabilities() < 0 ? 90 : restrict_calls(&calls) < 0 ? 91 : 0;
}

static int call_allowed(void)
{
	int r = restricted();

	return r ? r : error_of(syscall(SYS_getpid));
}

static int call_of_another_list(void)
{
	int r = restricted();

	return r ? r : error_of(syscall(SYS_getppid));
}

static int call_of_no_list(void)
{
	int r = restricted();

	return r ? r : error_of(syscall(SYS_getuid));
}

static int call_of_an_intruder(void)
{
	int r = restricted();

	return r ? r : error_of(syscall(SYS_execve, NULL, NULL, NULL));
}

static int plain_memory(void)
{
	int r = restricted();

	return r ? r : error_of(syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int executable_memory(void)
{
	int r = restricted();

	return r ? r : error_of(syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int call_listed_and_of_an_intruder(void)
{
	int r = restricted();

	return r ? r : error_of(syscall(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL));
}

static int call_by_its_argument(void)
{
	int r = restricted();

	if (!r && syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) < 0)
		return 92;
	return r ? r : error_of(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
}

TEST(only_listed_calls_work_and_those_of_an_intruder_end_the_process)
{
	CHECK_INT(status_of(call_allowed), 0);
	CHECK_INT(status_of(call_of_another_list), EINVAL);
	CHECK_INT(status_of(call_of_no_list), EPERM);
	CHECK_INT(status_of(call_of_an_intruder), 1000 + SIGSYS);
	CHECK_INT(status_of(call_listed_and_of_an_intruder), 0);
	CHECK_INT(status_of(call_by_its_argument), EPERM);
}

TEST(memory_is_never_executable)
{
	CHECK_INT(status_of(plain_memory), 0);
	CHECK_INT(status_of(executable_memory), EPERM);
}

static int without_restrict_capabilities(void)
{
	const struct restriction calls = {.lists = {SYSFILTER_LIST(SCMP_ACT_ALLOW, allowed)}};

	(void)!syscall(SYS_setresuid, 65534, 65534, 65534);
	return restrict_calls(&calls) < 0 ? 0 : 1;
}

/* The filter does not set no_new_privs behind its caller's back. */
TEST(a_filter_without_no_new_privs_is_refused)
{
	CHECK_INT(status_of(without_restrict_capabilities), 0);
}

static int nothing_left(void)
{
	uint64_t permitted, effective;

	if (restrict_capabilities() < 0 || capabilities_get(&permitted, &effective) < 0)
		return 1;
	return permitted || effective || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE) != 0;
}

static int a_user_with_one(void)
{
	const uint64_t one = UINT64_C(1) << CAP_NET_BIND_SERVICE;
	uint64_t permitted, effective;

	if (capabilities_check(one) < 0 || capabilities_check(UINT64_C(1) << 63) != -EINVAL)
		return 2;
	if (capabilities_bound(one) < 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
	    privilege_user(65534, 65533, (const gid_t[]){7}, 1) < 0 || capabilities_keep(one, true) < 0)
		return 3;
	if (getuid() != 65534 || getegid() != 65533 || getgroups(0, NULL) != 1)
		return 4;
	if (capabilities_get(&permitted, &effective) < 0 || permitted != one || effective != one)
		return 5;
	if (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) != 0 || capabilities_check(UINT64_C(1) << CAP_SYS_ADMIN) != -EPERM)
		return 6;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0) == 1 ? 0 : 7;
}

TEST(capabilities_are_those_that_were_kept_and_no_others)
{
	CHECK_INT(status_of(nothing_left), 0);
	if (geteuid() != 0)
		SKIP("only root changes its user");
	CHECK_INT(status_of(a_user_with_one), 0);
}

static char directory[] = "/tmp/test-restrict-XXXXXX";

static int files_of_one_directory(void)
{
	const struct landlock_place places[] = {
		{open(directory, O_PATH | O_CLOEXEC), LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG},
		{open("/etc/group", O_PATH | O_CLOEXEC), LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR},
		{-1, 0},
	};
	int at = places[0].fd;

	if (privilege_no_new() < 0 || landlock_restrict(&(struct landlock){.places = places, .n_places = 3}) < 0)
		return 2;
	if (open("/etc/group", O_RDONLY) < 0)
		return 6;
	if (openat(at, "file", O_WRONLY | O_CREAT, 0600) < 0)
		return 3;
	if (openat(at, "file", O_RDONLY) >= 0 || openat(at, "file", O_WRONLY | O_TRUNC) >= 0)
		return 4;
	if (open("/etc/passwd", O_RDONLY) >= 0 || open("/tmp/test-restrict", O_WRONLY | O_CREAT, 0600) >= 0)
		return 5;
	return 0;
}

static int no_file(void)
{
	if (privilege_no_new() < 0 || landlock_restrict(&(struct landlock){0}) < 0)
		return 2;
	return open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? 0 : 3;
}

/* As uid 0 with all capabilities. */
static int signals_stay_inside(void)
{
	pid_t child;

	if (privilege_no_new() < 0 || landlock_restrict(&(struct landlock){.scoped = true}) < 0)
		return 2;
	if (kill(getppid(), 0) == 0 || errno != EPERM)
		return 3;
	child = fork();
	if (child == 0) {
		for (;;)
			pause();
	}
	return kill(child, SIGKILL) < 0 ? 4 : 0;
}

TEST(landlock_keeps_signals_from_processes_outside)
{
	if (landlock_version() < 6)
		SKIP("this kernel's landlock knows no scopes");
	CHECK_INT(status_of(signals_stay_inside), 0);
}

TEST(landlock_leaves_the_places_of_its_list_or_no_file_at_all)
{
	if (landlock_version() < 3)
		SKIP("this kernel has no landlock that knows of truncation");
	CHECK(mkdtemp(directory) != NULL);
	CHECK_INT(status_of(files_of_one_directory), 0);
	CHECK_INT(status_of(no_file), 0);
	CHECK_INT(status_of(no_file), 0);
	(void)!chdir(directory);
	unlink("file");
	rmdir(directory);
}
