/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements fsprogram.h. The programs open the volume by name, more than once, and with O_EXCL to see that nobody has
 * mounted it; so a descriptor alone does not do, and the name is that of a descriptor, /proc/self/fd/N. That opens the
 * node anew, with the rights of the program's user: it is a node of its own, which that user owns, and which is
 * unlinked before the program starts. Their calls and files are those that strace(1) shows, and those of a loader.
 */
#define _GNU_SOURCE
#include "fsprogram.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "init/lib/restrict.h"
#include "init/lib/run.h"
#include "init/lib/sysfilter.h"
#include "stages/lib/report.h"

#define NODE "/dev/.gantry-fsck-%u:%u-%d"	/* volume, stage: two stages may be at this at the same time */

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

#define READS    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define EXECUTES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE)
#define WRITES   (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

static char *const environment[] = {"PATH=/sbin:/bin", "LC_ALL=C", NULL};

static const int calls[] = {
	SCMP_SYS(access), SCMP_SYS(arch_prctl), SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(close),
	SCMP_SYS(execve), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(fadvise64), SCMP_SYS(fallocate), SCMP_SYS(fcntl), SCMP_SYS(fdatasync), SCMP_SYS(fstat),
	SCMP_SYS(fsync), SCMP_SYS(futex), SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(getegid), SCMP_SYS(geteuid),
	SCMP_SYS(getgid), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getrandom), SCMP_SYS(getresgid),
	SCMP_SYS(getresuid), SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(gettid), SCMP_SYS(gettimeofday),
	SCMP_SYS(getuid), SCMP_SYS(lseek), SCMP_SYS(lstat), SCMP_SYS(madvise), SCMP_SYS(mmap), SCMP_SYS(mprotect),
	SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(newfstatat), SCMP_SYS(open), SCMP_SYS(openat),
	SCMP_SYS(prctl), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(read), SCMP_SYS(readlink),
	SCMP_SYS(readlinkat), SCMP_SYS(readv), SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list),
	SCMP_SYS(set_tid_address), SCMP_SYS(sigaltstack), SCMP_SYS(stat), SCMP_SYS(statx),
	SCMP_SYS(sync_file_range), SCMP_SYS(sysinfo), SCMP_SYS(tgkill), SCMP_SYS(time), SCMP_SYS(tkill),
	SCMP_SYS(uname), SCMP_SYS(write), SCMP_SYS(writev),
};

/* Size, sectors and what is best for its queue; nothing that changes or discards. */
#define ASKS(request) {SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, UINT32_MAX, (request)}
static const struct sysfilter_argument arguments[] = {
	ASKS(BLKGETSIZE64), ASKS(BLKGETSIZE), ASKS(BLKSSZGET), ASKS(BLKPBSZGET), ASKS(BLKROGET), ASKS(BLKALIGNOFF),
	ASKS(BLKIOMIN), ASKS(BLKIOOPT), ASKS(BLKDISCARDZEROES), ASKS(TIOCGWINSZ),
};

/* Of the image, and what the kernel says of mounts; whatever is not there gives nothing. */
static const struct {
	const char *path;
	uint64_t rights;
} places[] = {
	{"/lib", READS | EXECUTES}, {"/lib64", READS | EXECUTES}, {"/usr/lib", READS | EXECUTES},
	{"/usr/lib64", READS | EXECUTES}, {"/etc/ld.so.cache", READS}, {"/etc/mke2fs.conf", READS},
	{"/etc/e2fsck.conf", READS}, {"/proc/self/mounts", READS}, {"/proc/swaps", READS}, {"/dev/urandom", READS},
	{"/dev/null", WRITES},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct program {
	const char *path, *name, *device;
	int fd;				/* the volume */
	char volume[40];		/* its name for the program */
	struct fsprogram_output *output;
};

/* ---- the child, before it executes the program */

static int open_nothing_else(const struct program *program)
{
	struct landlock_place list[COUNT(places) + 2];
	const struct landlock with = {.places = list, .n_places = COUNT(list), .scoped = true};
	int program_fd = open(program->path, O_PATH | O_CLOEXEC);

	if (program_fd < 0)
		return -errno;
	if (!landlock_version())
		return -ENOSYS;
	for (size_t i = 0; i < COUNT(places); i++)
		list[i] = (struct landlock_place){open(places[i].path, O_PATH | O_CLOEXEC), places[i].rights};
	list[COUNT(places)] = (struct landlock_place){program_fd, EXECUTES};
	list[COUNT(places) + 1] = (struct landlock_place){program->fd, WRITES};
	return landlock_restrict(&with);
}

static int call_nothing_else(void)
{
	const struct sysfilter filter = {
		.otherwise = SCMP_ACT_ERRNO(EPERM),
		.other_abi = SCMP_ACT_KILL_PROCESS,
		.lists[0] = SYSFILTER_LIST(SCMP_ACT_ALLOW, calls),
		.arguments = arguments,
		.n_arguments = COUNT(arguments),
	};

	return sysfilter_load(&filter);
}

/* It gets its output and the volume; the rest closes when it is executed. */
static int keep_descriptor(int fd)
{
	const unsigned n = (unsigned)fd;

	if ((n > 3 && syscall(SYS_close_range, 3, n - 1, CLOSE_RANGE_CLOEXEC) < 0) ||
	    syscall(SYS_close_range, n + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
}

/* The places are opened as root; the node of the volume is the new user's, who opens it again. */
static const char *give_up_rights(void *with)
{
	const struct program *program = with;
	const char *failed = "no_new_privs";
	int r = privilege_no_new();

	if (r == 0) {
		failed = "restricting files with landlock";
		r = open_nothing_else(program);
	}
	if (r == 0 && geteuid() == 0) {
		failed = "changing to user " DISK_FSCK_USER;
		r = privilege_user(DISK_FSCK_UID, DISK_FSCK_UID, NULL, 0);
	}
	if (r == 0) {
		failed = "dropping capabilities";
		r = restrict_capabilities();
	}
	if (r == 0) {
		failed = "closing descriptors";
		r = keep_descriptor(program->fd);
	}
	if (r == 0) {
		failed = "installing the system call filter";
		r = call_nothing_else();
	}
	errno = -r;
	return r < 0 ? failed : NULL;
}

/* ---- the stage */

/* The program names the volume as it knows it; the operator knows it by its device. */
static void put_device(const struct program *program, const char *line, char *ret, size_t size)
{
	const char *at = strstr(line, program->volume);

	if (at)
		snprintf(ret, size, "%.*s%s%s", (int)(at - line), line, program->device, at + strlen(program->volume));
	else
		snprintf(ret, size, "%s", line);
}

static void take_line(void *with, const char *text)
{
	struct program *program = with;
	struct fsprogram_output *output = program->output;
	char line[RUN_LINE_MAX];
	size_t length;

	put_device(program, text + strspn(text, " \t"), line, sizeof(line));
	length = strlen(line);
	while (length && (line[length - 1] == ' ' || line[length - 1] == '\b'))
		length--;
	if (!length)
		return;
	report_event(EVENT_DEBUG, "%s: %.*s", program->name, (int)length, line);
	snprintf(output->last, sizeof(output->last), "%.*s", (int)length, line);
	if (!output->first[0])
		memcpy(output->first, output->last, sizeof(output->first));
}

/* Whether it is open, and this very device: the node was a name, which can come to lead elsewhere. */
static bool is_open_device(int fd, dev_t number)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == number;
}

/* By a node that the program's user owns, which is gone afterwards. */
static int open_by_node(dev_t number, int *ret_fd)
{
	_cleanup_(cleanup_close) int fd = -1;
	char node[64];
	int r = 0;

	snprintf(node, sizeof(node), NODE, major(number), minor(number), getpid());
	if (unlink(node) < 0 && errno != ENOENT)
		return -errno;
	if (mknod(node, S_IFBLK | 0600, number) < 0)
		return -errno;
	if (lchown(node, DISK_FSCK_UID, DISK_FSCK_UID) < 0 ||
	    (fd = open(node, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0)
		r = -errno;
	if (unlink(node) < 0 && r == 0)
		r = -errno;
	if (r == 0 && !is_open_device(fd, number))
		r = -ESTALE;
	if (r == 0) {
		*ret_fd = fd;
		fd = -1;
	}
	return r;
}

/* A file, as tests have, is opened as it is. */
static int open_volume(const char *device, int *ret_fd)
{
	struct stat st;
	int fd;

	if (stat(device, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode))
		return open_by_node(st.st_rdev, ret_fd);
	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int fsprogram_run(const char *const words[], size_t n, const char *device, struct fsprogram_output *ret)
{
	struct program program = {
		.path = words[0], .name = strrchr(words[0], '/') + 1, .device = device, .output = ret,
	};
	const char *argv[FSPROGRAM_WORDS_MAX + 1] = {NULL};
	const struct run run = {.words = (char *const *)argv, .environment = environment, .line = take_line,
				.prepare = give_up_rights, .with = &program};
	_cleanup_(cleanup_close) int fd = -1;
	int r;

	*ret = (struct fsprogram_output){.first = ""};
	if (n > FSPROGRAM_WORDS_MAX)
		return -E2BIG;
	if (access(words[0], X_OK) < 0)
		return -errno;
	r = open_volume(device, &fd);
	if (r < 0) {
		snprintf(ret->last, sizeof(ret->last), "%.80s: %s", device, strerror(-r));
		return -EAGAIN;
	}
	program.fd = fd;
	snprintf(program.volume, sizeof(program.volume), "/proc/self/fd/%d", fd);
	for (size_t i = 0; i < n; i++)
		argv[i] = words[i] ? words[i] : program.volume;
	r = run_program(&run);
	return r >= RUN_KILLED ? -EINTR : r == RUN_NOT_EXECUTED ? -ENOEXEC : r;
}
