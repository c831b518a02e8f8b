/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queries the TDX guest interfaces for the test of qemu/tdx's module and prints the results as lines `name value`,
 * bytes as hex. It shares no code with the stages, so that it does not share their mistakes. As PID 1 of a tiny
 * initramfs it mounts what it needs, loads the modules in /modules/list, and powers off.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REPORTS      "/sys/kernel/config/tsm/report"
#define MEASUREMENTS "/sys/devices/virtual/misc/tdx_guest/measurements/"
#define PARAMETERS   "/sys/module/gantry_tdx_test/parameters/"

static struct {
	uint8_t reportdata[64];
	uint8_t report[1024];
} request;

static uint8_t bytes[32768];

static void say_bytes(const char *name, const uint8_t *what, size_t size)
{
	printf("%s ", name);
	for (size_t i = 0; i < size; i++)
		printf("%02x", what[i]);
	printf("\n");
}

static void say_error(const char *name, long r)
{
	printf("%s %s\n", name, r < 0 ? strerror(errno) : "accepted");
}

/* The kernel acts on a configfs binary attribute when it is closed: that status counts. */
static long put(const char *path, const void *what, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	long r;

	if (fd < 0)
		return -1;
	r = write(fd, what, size);
	if (close(fd) < 0)
		return -1;
	return r;
}

static long get(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while ((n = read(fd, bytes + used, sizeof(bytes) - used)) > 0)
		used += (size_t)n;
	close(fd);
	return n < 0 ? -1 : (long)used;
}

static void say_file(const char *name, const char *path)
{
	long n = get(path);

	if (n < 0)
		say_error(name, n);
	else
		say_bytes(name, bytes, (size_t)n);
}

static void ask_report(const char *name)
{
	int fd = open("/dev/tdx_guest", O_RDWR | O_CLOEXEC);
	long r;

	memset(request.reportdata, 0xa5, sizeof(request.reportdata));
	memset(request.report, 0, sizeof(request.report));
	r = ioctl(fd, _IOWR('T', 1, __typeof__(request)), &request);
	if (r < 0)
		say_error(name, r);
	else
		say_bytes(name, request.report, sizeof(request.report));
	if (fd >= 0)
		close(fd);
}

static void ask_quotes(void)
{
	long r;

	mkdir(REPORTS "/one", 0700);
	say_file("provider", REPORTS "/one/provider");
	say_file("generation-before", REPORTS "/one/generation");
	r = put(REPORTS "/one/inblob", request.reportdata, 32);
	say_error("short-inblob", r < 0 ? r : get(REPORTS "/one/outblob"));
	put(PARAMETERS "busy", "1", 1);
	put(REPORTS "/one/inblob", request.reportdata, sizeof(request.reportdata));
	say_file("busy-quote", REPORTS "/one/outblob");
	say_file("quote", REPORTS "/one/outblob");
	say_file("generation-after", REPORTS "/one/generation");
	for (int i = 0; i < 8; i++) {
		char name[16];

		/* Different bytes each time: signatures of many shapes, with leading zeros among them. */
		request.reportdata[0] = (uint8_t)i;
		put(REPORTS "/one/inblob", request.reportdata, sizeof(request.reportdata));
		snprintf(name, sizeof(name), "quote-%d", i);
		say_file(name, REPORTS "/one/outblob");
	}
	rmdir(REPORTS "/one");
}

static void ask_all(void)
{
	uint8_t digest[48];

	memset(digest, 0x5a, sizeof(digest));
	ask_report("report");
	ask_quotes();
	say_file("mrtd", MEASUREMENTS "mrtd:sha384");
	say_error("short-extend", put(MEASUREMENTS "rtmr3:sha384", digest, 47));
	say_error("extend", put(MEASUREMENTS "rtmr3:sha384", digest, sizeof(digest)));
	say_error("extend-again", put(MEASUREMENTS "rtmr3:sha384", digest, sizeof(digest)));
	say_file("rtmr3", MEASUREMENTS "rtmr3:sha384");
	ask_report("report-extended");
	put(PARAMETERS "broken", "1", 1);
	ask_report("broken-report");
	ask_report("mended-report");
}

static void become_init(void)
{
	FILE *list;
	char path[256];

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	list = fopen("/modules/list", "re");
	while (list && fscanf(list, "%255s", path) == 1) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (syscall(SYS_finit_module, fd, "", 0) < 0)
			printf("module %s: %s\n", path, strerror(errno));
		close(fd);
	}
	if (list)
		fclose(list);
	mount("configfs", "/sys/kernel/config", "configfs", 0, NULL);
}

int main(void)
{
	if (getpid() == 1)
		become_init();
	ask_all();
	printf("done yes\n");
	fflush(stdout);
	if (getpid() == 1) {
		sync();
		reboot(RB_POWER_OFF);
	}
	return 0;
}
