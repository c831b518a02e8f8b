/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements storerights.h. The files belong to root, their folders may belong to others: hence the capabilities. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "init/config/format.h"
#include "init/lib/account.h"
#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "init/lib/restrict.h"
#include "init/lib/walk.h"
#include "options.h"
#include "storerights.h"

#define PLACES_MAX 8
#define READS  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITES (READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE)

/* Beside those of all: memory, what is open, its reports. */
static const int allowed_calls[] = {
	SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(close), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fcntl),
	SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(getrandom), SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(memfd_create), SCMP_SYS(mremap),
	SCMP_SYS(munmap), SCMP_SYS(poll), SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(tgkill), SCMP_SYS(write),
	SCMP_SYS(writev),
};

static const int file_calls[] = {
	SCMP_SYS(fchmod), SCMP_SYS(fsync), SCMP_SYS(newfstatat), SCMP_SYS(open), SCMP_SYS(openat),
	SCMP_SYS(readlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(sendfile),
	SCMP_SYS(stat), SCMP_SYS(unlinkat),
};

/* Those that read open nothing. */
static int restrict_store_calls(bool files)
{
	const struct restriction calls = {.lists = {
		SYSFILTER_LIST(SCMP_ACT_ALLOW, allowed_calls),
		SYSFILTER_LIST(files ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS, file_calls),
	}};

	return restrict_calls(&calls);
}

static int open_folder(const char *path)
{
	const char *name;

	return walk_parent(path, WALK_ROOTS_LINKS, 0, &name);
}

/* One that is missing gives nothing: its own use reports it. */
static int restrict_files(const char *const *paths, size_t n, const char *read)
{
	struct landlock_place places[PLACES_MAX];
	const struct landlock files = {.places = places, .n_places = n + 1, .scoped = true};
	int r;

	if (n >= PLACES_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		places[i] = (struct landlock_place){open_folder(paths[i]), WRITES};
	places[n] = (struct landlock_place){open_folder(read), READS};
	r = landlock_restrict(&files);
	for (size_t i = 0; i <= n; i++)
		if (places[i].fd >= 0)
			close(places[i].fd);
	return r;
}

int store_may_write(const char *const *paths, size_t n, const char *read, const char **ret_what)
{
	int r;

	*ret_what = "dropping capabilities";
	r = privilege_bound(UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER);
	if (r < 0)
		return r;
	*ret_what = "restricting files with landlock";
	r = restrict_files(paths, n, read);
	if (r < 0)
		return r;
	*ret_what = "installing the system call filter";
	return restrict_store_calls(true);
}

int store_only_reads(const char **ret_what)
{
	uid_t uid;
	gid_t gid;
	int r;

	*ret_what = "becoming " API_USER;
	r = account_user("/etc/passwd", API_USER, &uid, &gid);
	if (r == 0)
		r = privilege_user(uid, gid, NULL, 0);
	if (r == 0)
		r = restrict_capabilities();
	if (r < 0)
		return r;
	*ret_what = "restricting files with landlock";
	r = restrict_files(NULL, 0, "");
	if (r < 0)
		return r;
	*ret_what = "installing the system call filter";
	return restrict_store_calls(false);
}
