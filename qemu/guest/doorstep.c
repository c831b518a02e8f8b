/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Started by the kernel as PID 1 (rdinit=) in the machine that qemu/doorstep.py saves: it waits on a virtio port, where
 * each machine that goes on from there gets what is its own, and becomes /init, or /bin/measured where that has
 * something to do. So a boot test does not wait for the kernel's start and its modules, which are the same for all.
 * In the test image only.
 *
 * What comes over the port: `struct delivery`, then a newc cpio (the kernel's buffer-format.rst) to unpack over /.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <linux/rtc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "pcr.h"

#define PORTS "/sys/class/virtio-ports"
#define PORT  "gantry-doorstep"
#define TPM   "MSFT0101:00"
#define NODE  "/doorstep-node"
#define MODULES "/etc/gantry/modules"
#define DISKS "/sys/class/scsi_disk"
#define DISK_MS 2
#define HEAD  110
#define FIELDS 13
#define EVENTS_MAX 64

/* What firmware extended (TCG PC Client Platform Firmware Profile, 10.2): extended again in the TPM of each machine. */
struct event {
	uint32_t pcr;
	uint8_t digest[PCR_DIGEST_BYTES];
};

static struct event events[EVENTS_MAX];
static size_t n_events;

struct delivery {
	uint64_t archive_bytes;
	uint64_t disks;		/* that are attached to this machine by now */
	uint64_t wall_ns;	/* CLOCK_REALTIME */
	char seed[48];		/* for the kernel's random numbers, which all machines would have in common */
};

static void die(const char *what)
{
	printf("doorstep: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_device(unsigned int major_number, unsigned int minor_number, int flags)
{
	int fd;

	if (mknod(NODE, S_IFCHR | 0600, makedev(major_number, minor_number)) < 0)
		die(NODE);
	fd = open(NODE, flags | O_CLOEXEC);
	unlink(NODE);
	return fd;
}

static int read_line(const char *folder, const char *name, const char *file, char *out, size_t room)
{
	char path[512];
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s/%s", folder, name, file);
	in = fopen(path, "re");
	if (!in || !fgets(out, (int)room, in))
		return -1;
	fclose(in);
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

static int open_port(void)
{
	DIR *ports = opendir(PORTS);
	unsigned int major_number, minor_number;
	struct dirent *entry;
	char line[64];

	while (ports && (entry = readdir(ports))) {
		if (read_line(PORTS, entry->d_name, "name", line, sizeof(line)) < 0 || strcmp(line, PORT) != 0)
			continue;
		if (read_line(PORTS, entry->d_name, "dev", line, sizeof(line)) < 0 ||
		    sscanf(line, "%u:%u", &major_number, &minor_number) != 2)
			break;
		closedir(ports);
		return open_device(major_number, minor_number, O_RDONLY);
	}
	return -1;
}

static uint32_t number_of(const unsigned char *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return le32toh(value);
}

/* False: what is there is not a whole event. */
static bool read_event(const unsigned char *log, size_t size, size_t *at)
{
	struct event event = {0};
	uint32_t digests;
	bool found = false;

	if (size - *at < 12)
		return false;
	event.pcr = number_of(log + *at);
	digests = number_of(log + *at + 8);
	for (*at += 12; digests > 0 && size - *at >= 2 + 64 + 4; digests--) {
		unsigned int algorithm = log[*at] | log[*at + 1] << 8;
		size_t bytes = algorithm == 0x4 ? 20 : algorithm == 0xb ? 32 : algorithm == 0xc ? 48 : 64;

		if (algorithm == 0xb)
			memcpy(event.digest, log + *at + 2, PCR_DIGEST_BYTES);
		found |= algorithm == 0xb;
		*at += 2 + bytes;
	}
	if (digests > 0 || number_of(log + *at) > size - *at - 4)
		return false;
	*at += 4 + number_of(log + *at);
	if (found && n_events < EVENTS_MAX)
		events[n_events++] = event;
	return true;
}

static void read_events(void)
{
	static unsigned char log[65536 + 64];
	size_t size = 0, at;
	ssize_t n;
	int fd;

	if (mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL) < 0)
		die("securityfs");
	fd = open("/sys/kernel/security/tpm0/binary_bios_measurements", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, log + size, 65536 - size)) > 0)
		size += (size_t)n;
	if (fd >= 0)
		close(fd);
	if (size < 32)
		return;
	at = 32 + number_of(log + 28);		/* the first event names the algorithms and is not extended */
	while (at < size && read_event(log, size + 64, &at))
		;
}

/* The machine that goes on has another TPM: its driver starts anew then. Returns where to bind it, -1: no TPM. */
static int release_tpm(void)
{
	int unbind = open("/sys/bus/acpi/drivers/tpm_crb/unbind", O_WRONLY | O_CLOEXEC);
	int bind = -1;

	if (unbind >= 0 && write(unbind, TPM, strlen(TPM)) > 0)
		bind = open("/sys/bus/acpi/drivers/tpm_crb/bind", O_WRONLY | O_CLOEXEC);
	if (unbind >= 0)
		close(unbind);
	return bind;
}

/*
 * Loads the modules of the image but for the network card's driver. The driver of the disks' bus looks for disks at 256
 * addresses, a fifth of a short boot; here it finds none, and each machine's disks are attached while it runs. Modules
 * that this machine has no use for leave the list: PID 1 would try them again.
 */
static void load_modules(void)
{
	FILE *list = fopen(MODULES, "re"), *loaded = fopen(MODULES ".new", "we");
	char path[256];

	if (!list || !loaded)
		die(MODULES);
	while (fgets(path, sizeof(path), list)) {
		int fd;

		path[strcspn(path, "\n")] = '\0';
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die(path);
		if (strstr(path, "virtio_net") || syscall(SYS_finit_module, fd, "", 0) == 0)
			fprintf(loaded, "%s\n", path);
		close(fd);
	}
	fclose(list);
	if (fclose(loaded) == EOF || rename(MODULES ".new", MODULES) < 0)
		die(MODULES);
}

static uint64_t disks_in(DIR *disks)
{
	struct dirent *entry;
	uint64_t n = 0;

	rewinddir(disks);
	while ((entry = readdir(disks)))
		n += entry->d_name[0] != '.';
	return n;
}

/* They are announced one by one. */
static void wait_for_disks(DIR *disks, uint64_t n)
{
	while (n > 0 && (!disks || disks_in(disks) < n))
		usleep(DISK_MS * 1000);
}

static void read_all(int port, void *to, size_t size)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = read(port, (char *)to + got, size - got);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die("reading the port");
		got += n > 0 ? (size_t)n : 0;
	}
}

static void set_clocks(uint64_t wall_ns)
{
	struct timespec now = {.tv_sec = (time_t)(wall_ns / 1000000000), .tv_nsec = (long)(wall_ns % 1000000000)};
	struct rtc_time rtc = {0};
	struct tm utc;
	int fd = open_device(249, 0, O_RDONLY);

	if (clock_settime(CLOCK_REALTIME, &now) < 0)
		die("setting the clock");
	gmtime_r(&now.tv_sec, &utc);
	rtc.tm_sec = utc.tm_sec, rtc.tm_min = utc.tm_min, rtc.tm_hour = utc.tm_hour;
	rtc.tm_mday = utc.tm_mday, rtc.tm_mon = utc.tm_mon, rtc.tm_year = utc.tm_year;
	if (fd >= 0 && ioctl(fd, RTC_SET_TIME, &rtc) < 0)
		printf("doorstep: the clock's chip: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void set_seed(const char *seed, size_t size)
{
	int fd = open_device(1, 9, O_WRONLY);

	if (fd < 0 || write(fd, seed, size) != (ssize_t)size || ioctl(fd, RNDRESEEDCRNG) < 0)
		die("random numbers");
	close(fd);
}

/* The driver gives up where a busy host makes the TPM take too long to start; the next time it finds it started. */
static void start_tpm(int bind)
{
	int tpm = -1;

	for (int tries = 0; tries < 5 && tpm < 0; tries++)
		if (write(bind, TPM, strlen(TPM)) < 0)
			printf("doorstep: the TPM's driver is not bound: %s\n", strerror(errno));
		else
			tpm = open_device(10, 224, O_RDWR);
	if (tpm < 0)
		die("the TPM");
	for (size_t i = 0; i < n_events; i++) {
		int64_t r = pcr_extend(tpm, events[i].pcr, events[i].digest);

		if (r != 0) {
			printf("doorstep: PCR %u: 0x%llx\n", events[i].pcr, (long long)r);
			exit(1);
		}
	}
	close(tpm);
}

static void unpack_one(const char *path, unsigned int mode, const char *content, size_t size, dev_t device)
{
	int fd;

	if (S_ISDIR(mode)) {
		if (mkdir(path, mode & 07777) < 0 && errno != EEXIST)
			die(path);
		return;
	}
	unlink(path);
	if (S_ISLNK(mode)) {
		char target[256];

		snprintf(target, sizeof(target), "%.*s", (int)size, content);
		if (symlink(target, path) < 0)
			die(path);
	} else if (S_ISREG(mode)) {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 07777);
		if (fd < 0 || write(fd, content, size) != (ssize_t)size || fchmod(fd, mode & 07777) < 0)
			die(path);
		close(fd);
	} else if (mknod(path, mode, device) < 0) {
		die(path);
	}
}

/* Padding is to four bytes from the archive's start. */
static void unpack(const char *archive, size_t size)
{
	for (size_t at = 0; at + HEAD <= size;) {
		unsigned int field[FIELDS];
		char path[512], hex[9] = "";
		size_t name, content;

		if (archive[at] == '\0') {	/* between two archives */
			at += 4;
			continue;
		}
		for (int i = 0; i < FIELDS; i++) {
			memcpy(hex, archive + at + 6 + 8 * i, 8);
			field[i] = (unsigned int)strtoul(hex, NULL, 16);
		}
		name = at + HEAD;
		content = (name + field[11] + 3) & ~(size_t)3;
		if (memcmp(archive + at, "070701", 6) != 0 || content + field[6] > size)
			die("the archive");
		snprintf(path, sizeof(path), "/%s", archive + name);
		if (strcmp(path, "/TRAILER!!!") != 0)
			unpack_one(path, field[1], archive + content, field[6], makedev(field[9], field[10]));
		at = (content + field[6] + 3) & ~(size_t)3;
	}
}

int main(int argc, char **argv)
{
	struct delivery delivery;
	int port, bind;
	char *archive;
	DIR *disks;

	(void)argc;
	umask(0);
	mkdir("/sys", 0755);
	if (mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
		die("/sys");
	port = open_port();
	if (port < 0)
		die("port " PORT);
	read_events();
	bind = release_tpm();
	load_modules();
	disks = opendir(DISKS);
	umount2("/sys", MNT_DETACH);	/* `bind` and `disks` are still open */
	printf("doorstep: waiting; %zu events\n", n_events);
	fflush(stdout);
	read_all(port, &delivery, sizeof(delivery));
	archive = mmap(NULL, delivery.archive_bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (archive == MAP_FAILED)
		die("memory");
	read_all(port, archive, delivery.archive_bytes);
	close(port);
	wait_for_disks(disks, delivery.disks);
	if (disks)
		closedir(disks);
	set_clocks(delivery.wall_ns);
	set_seed(delivery.seed, sizeof(delivery.seed));
	if (bind >= 0)
		start_tpm(bind);
	unpack(archive, delivery.archive_bytes);
	fflush(stdout);
	argv[0] = access(MEASURED_EVENTS, F_OK) == 0 ? "/bin/measured" : "/init";
	execv(argv[0], argv);
	die(argv[0]);
}
