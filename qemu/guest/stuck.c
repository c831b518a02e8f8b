/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks a shutdown in various ways, for boot tests; in the test image only.
 *
 *   stuck fuse DIR        mounts a FUSE file system at DIR that reads every request and answers only the first;
 *                         ignores SIGTERM. A process that accesses DIR sleeps in the kernel: no signal reaches it
 *   stuck look DIR        accesses DIR, once it is mounted
 *   stuck outside         an orphan that ignores signals, outside every service's cgroup
 *   stuck loop FILE       attaches FILE to a loop device: FILE is open for writing, but by no process
 *   stuck suspend NAME FILE   suspends device-mapper device NAME, once FILE exists
 *   stuck host FILE       once FILE exists and `stuck look` has begun, makes the kernel run /sbin/poweroff, as it
 *                         does when Hyper-V requests a shutdown
 *   stuck mount DEVICE DIR, stuck umount DIR
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fuse.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LOOKING "/run/looking"

static void __attribute__((noreturn)) die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void say(const char *what)
{
	printf("%s\n", what);
	fflush(stdout);
}

static int serve(const char *directory)
{
	static char request[1 << 17];
	struct {
		struct fuse_out_header head;
		struct fuse_init_out init;
	} answer = {.head = {.len = sizeof(answer)}};
	const struct fuse_in_header *head = (void *)request;
	char options[96];
	int fd;

	signal(SIGTERM, SIG_IGN);
	mkdir(directory, 0755);
	mknod("/dev/fuse", S_IFCHR | 0600, makedev(10, 229));
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/fuse");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("stuck", directory, "fuse", 0, options) < 0)
		die("mount");
	say("mounted");
	for (;;) {
		if (read(fd, request, sizeof(request)) < (ssize_t)sizeof(*head))
			die("read");
		if (head->opcode != FUSE_INIT) {
			say("took a request");
			continue;
		}
		answer.head.unique = head->unique;
		answer.init.major = FUSE_KERNEL_VERSION;
		answer.init.minor = FUSE_KERNEL_MINOR_VERSION;
		answer.init.max_write = 4096;
		if (write(fd, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
			die("answer");
	}
}

static int mounted(const char *directory)
{
	FILE *file = fopen("/proc/self/mounts", "re");
	char line[512];
	int found = 0;

	while (file && fgets(line, sizeof(line), file))
		found |= strstr(line, directory) != NULL;
	if (file)
		fclose(file);
	return found;
}

static int look(const char *directory)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/x", directory);
	while (!mounted(directory))	/* looking at the path itself would be looking */
		usleep(50000);
	close(open(LOOKING, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	say("looking");
	if (stat(path, &st) < 0)
		die("stat");
	return 0;
}

static int outside(void)
{
	FILE *file;
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC) < 0)
		die("pipe");
	if (fork() != 0) {	/* its cgroup ends with this process: not before the other one has left it */
		close(ends[1]);
		return read(ends[0], &byte, 1) == 1 ? 0 : 1;
	}
	setsid();
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	file = fopen("/sys/fs/cgroup/cgroup.procs", "we");
	if (!file || fprintf(file, "%d\n", getpid()) < 0 || fclose(file) != 0)
		die("cgroup");
	say("outside");
	if (write(ends[1], "", 1) != 1)
		die("pipe");
	for (;;)
		pause();
}

static int attach(const char *path)
{
	int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), device;

	if (file < 0 || ftruncate(file, 1 << 20) < 0)
		die(path);
	mknod("/dev/loop7", S_IFBLK | 0600, makedev(7, 7));
	device = open("/dev/loop7", O_RDWR | O_CLOEXEC);
	if (device < 0)
		die("/dev/loop7");
	if (ioctl(device, LOOP_SET_FD, file) < 0)
		die("LOOP_SET_FD");
	say("attached");
	return 0;
}

static int suspend(const char *name, const char *path)
{
	struct dm_ioctl request = {.version = {4, 0, 0}, .data_size = sizeof(request), .data_start = sizeof(request),
				   .flags = DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG};
	int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);

	while (access(path, F_OK) < 0)
		usleep(50000);
	snprintf(request.name, sizeof(request.name), "%s", name);
	if (fd < 0)
		die("/dev/mapper/control");
	if (ioctl(fd, DM_DEV_SUSPEND, &request) < 0)
		die("DM_DEV_SUSPEND");
	say("suspended");
	return 0;
}

/* A protocol family that is not there makes the kernel start this "modprobe", as any other helper of its own. */
static int host(const char *path)
{
	int fd = open("/proc/sys/kernel/modprobe", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "/sbin/poweroff", 14) != 14 || close(fd) < 0)
		die("modprobe");
	while (access(LOOKING, F_OK) < 0 || access(path, F_OK) < 0)
		usleep(50000);
	socket(AF_APPLETALK, SOCK_DGRAM, 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *argument = argc > 2 ? argv[2] : "";

	if (!strcmp(what, "fuse"))
		return serve(argument);
	if (!strcmp(what, "look"))
		return look(argument);
	if (!strcmp(what, "outside"))
		return outside();
	if (!strcmp(what, "loop"))
		return attach(argument);
	if (!strcmp(what, "suspend"))
		return suspend(argument, argc > 3 ? argv[3] : "/");
	if (!strcmp(what, "host"))
		return host(argument);
	if (!strcmp(what, "mount") && argc > 3 && mount(argument, argv[3], "ext4", 0, NULL) == 0)
		return 0;
	if (!strcmp(what, "umount") && umount(argument) == 0)
		return 0;
	printf("%s: not done: %s\n", what, strerror(errno));
	return 2;
}
