/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The child that parses a disk's bytes, broken into: what code of the host's could do in it, each tried for real, and
 * what the kernel says of the process while it runs.
 */
/* links: disk stages/lib init/lib */
/* libs: libseccomp */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "address_space.h"
#include "stages/disk/reader.h"
#include "test.h"

static char why[READER_WHY_MAX];

static int ask(void (*read)(int fd, const void *question, void *answer), int fd, const void *question, void *answer,
	       size_t size)
{
	const struct reader_task task = {read, fd, question, answer, size};

	return reader_ask(&task, why);
}

struct call {
	long number, arguments[6];
};

/* Makes one system call; the answer is its errno, or 0: it worked. */
static void make_call(int fd, const void *question, void *answer)
{
	const struct call *c = question;
	const long *a = c->arguments;

	(void)fd;
	*(int *)answer = syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? errno : 0;
}

/* Its errno, 0, or the signal that it ended the child with as a negative number. */
static int outcome_with(int fd, struct call call)
{
	int error = -1000, r = ask(make_call, fd, &call, &error, sizeof(error)), number;

	if (r == 0)
		return error;
	CHECK_INT(r, -EBADMSG);
	CHECK_INT(sscanf(why, "its reader was ended by signal %d", &number), 1);
	return -number;
}

static int outcome(struct call call)
{
	return outcome_with(-1, call);
}

TEST(a_broken_reader_opens_connects_and_starts_nothing)
{
	const long path = (long)"/etc/passwd";

	CHECK_INT(outcome((struct call){SYS_openat, {AT_FDCWD, path, O_RDONLY}}), EPERM);
	CHECK_INT(outcome((struct call){SYS_open, {path, O_RDONLY}}), EPERM);
	CHECK_INT(outcome((struct call){SYS_unlink, {path}}), EPERM);
	CHECK_INT(outcome((struct call){SYS_socket, {AF_UNIX, SOCK_STREAM, 0}}), EPERM);
	CHECK_INT(outcome((struct call){SYS_socket, {AF_INET, SOCK_STREAM, 0}}), EPERM);
	CHECK_INT(outcome((struct call){SYS_kill, {getpid(), SIGKILL}}), EPERM);
	CHECK_INT(outcome((struct call){SYS_kill, {1, SIGSEGV}}), EPERM);
	CHECK_INT(outcome((struct call){SYS_memfd_create, {path, 0}}), EPERM);
	CHECK_INT(outcome((struct call){SYS_execve, {path, 0, 0}}), -SIGSYS);
	CHECK_INT(outcome((struct call){SYS_fork, {0}}), -SIGSYS);
	CHECK_INT(outcome((struct call){SYS_clone, {CLONE_NEWUSER | SIGCHLD}}), -SIGSYS);
	CHECK_INT(outcome((struct call){SYS_unshare, {CLONE_NEWUSER}}), -SIGSYS);
	CHECK_INT(outcome((struct call){SYS_ptrace, {16, getpid()}}), -SIGSYS);
	CHECK_INT(outcome((struct call){SYS_mount, {path, path, 0}}), -SIGSYS);
	CHECK_INT(outcome((struct call){SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}}), EPERM);
}

TEST(a_broken_reader_writes_nothing_to_the_disk)
{
	char file[] = "/tmp/test-reader-XXXXXX";
	int fd = mkstemp(file), only_read = open(file, O_RDONLY);

	CHECK(fd >= 0 && only_read >= 0 && ftruncate(fd, 8192) == 0);
	unlink(file);
	/* The filter has none of these, even of a descriptor that could. */
	CHECK_INT(outcome_with(fd, (struct call){SYS_pwrite64, {0, (long)"x", 1, 0}}), EPERM);
	CHECK_INT(outcome_with(fd, (struct call){SYS_write, {0, (long)"x", 1}}), EPERM);
	CHECK_INT(outcome_with(fd, (struct call){SYS_ftruncate, {0, 0}}), EPERM);
	CHECK_INT(outcome_with(fd, (struct call){SYS_ioctl, {0, BLKFLSBUF, 0}}), EPERM);
	CHECK_INT(outcome_with(fd, (struct call){SYS_ioctl, {0, BLKDISCARD, 0}}), EPERM);
	CHECK_INT(outcome_with(only_read, (struct call){SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0, 0}}), EACCES);
	/* These two it may ask; a file has no answer. */
	CHECK_INT(outcome_with(fd, (struct call){SYS_ioctl, {0, BLKGETSIZE64, 0}}), ENOTTY);
	CHECK_INT(outcome_with(fd, (struct call){SYS_ioctl, {0, BLKSSZGET, 0}}), ENOTTY);
	close(fd);
	close(only_read);
}

static void first_byte(int fd, const void *question, void *answer)
{
	CHECK_INT(pread(fd, answer, 1, *(const off_t *)question), 1);
}

TEST(the_answer_is_what_the_child_wrote)
{
	char file[] = "/tmp/test-reader-XXXXXX", byte = 'x';
	int fd = mkstemp(file);
	off_t at = 5;

	CHECK(fd >= 0 && pwrite(fd, "0123456789", 10, 0) == 10);
	unlink(file);
	CHECK_INT(ask(first_byte, fd, &at, &byte, 1), 0);
	CHECK_INT(byte, '5');
	close(fd);
}

static void crash(int fd, const void *question, void *answer)
{
	(void)fd;
	(void)question;
	*(int *)answer = 1;
	signal(SIGSEGV, SIG_DFL);
	syscall(SYS_tgkill, getpid(), getpid(), SIGSEGV);
}

static void leave(int fd, const void *question, void *answer)
{
	(void)fd;
	(void)question;
	*(int *)answer = 1;
	syscall(SYS_exit_group, 3);
}

TEST(of_a_child_that_crashes_or_leaves_there_is_no_answer_but_a_reason)
{
	int answer = 7;

	CHECK_INT(ask(crash, -1, NULL, &answer, sizeof(answer)), -EBADMSG);
	CHECK(strncmp(why, "its reader was ended by signal 11 (", 35) == 0);
	CHECK_INT(ask(leave, -1, NULL, &answer, sizeof(answer)), -EBADMSG);
	CHECK_STR(why, "its reader exited with status 3");
	CHECK_INT(answer, 7);
}

/* ---- from outside */

static void wait_for_ever(int fd, const void *question, void *answer)
{
	(void)question;
	(void)answer;
	for (;;)
		(void)!read(fd, &(char){0}, 1);
}

/* The process of that name whose parent is `parent`; waits for it. */
static pid_t child_of(pid_t parent)
{
	for (;;) {
		char path[64], name[64] = "";
		FILE *file;
		int pid = 0;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
		file = fopen(path, "re");
		if (file && fscanf(file, "%d", &pid) != 1)
			pid = 0;
		if (file)
			fclose(file);
		snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
		file = pid ? fopen(path, "re") : NULL;
		if (file && fgets(name, sizeof(name), file) && atoi(name) == SYS_read && name[0] == '0') {
			fclose(file);
			return pid;
		}
		if (file)
			fclose(file);
		sched_yield();
	}
}

static void has_line(pid_t pid, const char *name, const char *wanted)
{
	char path[64], line[256], seen[2048] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "re");
	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, wanted, strlen(wanted)) == 0) {
			fclose(file);
			return;
		}
		strncat(seen, line, sizeof(seen) - strlen(seen) - 1);
	}
	fclose(file);
	FAIL("no line \"%s\" in %s:\n%s", wanted, name, seen);
}

static void has_only_descriptor_0(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	CHECK(dir != NULL);
	while ((entry = readdir(dir)))
		CHECK(entry->d_name[0] == '.' || strcmp(entry->d_name, "0") == 0);
	closedir(dir);
}

TEST(the_child_is_a_user_of_its_own_with_no_right_but_one_descriptor)
{
	int ends[2], status = -1;
	pid_t stage, reader;

	CHECK_INT(pipe(ends), 0);
	stage = fork();
	if (stage == 0) {
		int answer = 0, r = ask(wait_for_ever, ends[0], NULL, &answer, sizeof(answer));

		syscall(SYS_exit_group, r == -EAGAIN && strstr(why, "signal 9") ? 0 : 1);
	}
	reader = child_of(stage);
	if (geteuid() == 0) {
		has_line(reader, "status", "Uid:\t920\t920\t920\t920\n");
		has_line(reader, "status", "Gid:\t920\t920\t920\t920\n");
		has_line(reader, "status", "Groups:\t \n");
	}
	has_line(reader, "status", "CapPrm:\t0000000000000000\n");
	has_line(reader, "status", "CapEff:\t0000000000000000\n");
	has_line(reader, "status", "NoNewPrivs:\t1\n");
	has_line(reader, "status", "Seccomp:\t2\n");
	has_line(reader, "limits", "Max cpu time              20                   25 ");
	has_line(reader, "limits", "Max open files            1 ");
	has_line(reader, "limits", "Max processes             0 ");
	has_line(reader, "limits", "Max core file size        0 ");
	has_only_descriptor_0(reader);
	CHECK_INT(kill(reader, SIGKILL), 0);
	CHECK_INT(waitpid(stage, &status, 0), stage);
	CHECK_INT(status, 0);
	close(ends[0]);
	close(ends[1]);
}

/* How the question ends when something ends the child from outside. */
static void is_judged(int number, int expected, const char *text)
{
	int ends[2], status = -1;
	pid_t stage;

	CHECK_INT(pipe(ends), 0);
	stage = fork();
	if (stage == 0) {
		int answer = 0, r = ask(wait_for_ever, ends[0], NULL, &answer, sizeof(answer));

		syscall(SYS_exit_group, r == expected && strstr(why, text) ? 0 : 1);
	}
	CHECK_INT(kill(child_of(stage), number), 0);
	CHECK_INT(waitpid(stage, &status, 0), stage);
	if (status != 0)
		FAIL("signal %d is judged otherwise", number);
	close(ends[0]);
	close(ends[1]);
}

TEST(a_killed_child_says_nothing_of_the_disk_but_one_beyond_its_limits_does)
{
	is_judged(SIGKILL, -EAGAIN, "signal 9");
	is_judged(SIGXCPU, -EBADMSG, "signal 24");
}

TEST(the_child_ends_with_the_stage)
{
	int ends[2], status;
	pid_t stage;
	struct pollfd end = {.events = POLLIN};

	CHECK_INT(pipe(ends), 0);
	stage = fork();
	if (stage == 0) {
		int answer = 0;

		(void)ask(wait_for_ever, ends[0], NULL, &answer, sizeof(answer));
		syscall(SYS_exit_group, 0);
	}
	end.fd = (int)syscall(SYS_pidfd_open, child_of(stage), 0);
	CHECK(end.fd >= 0);
	CHECK_INT(kill(stage, SIGKILL), 0);
	CHECK_INT(waitpid(stage, &status, 0), stage);
	CHECK_INT(poll(&end, 1, 20000), 1);
	close(end.fd);
	close(ends[0]);
	close(ends[1]);
}
