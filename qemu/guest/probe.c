/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Examines the machine from inside, for boot tests: each subcommand prints lines that a test reads as events.
 * In the test image only.
 *
 *   probe pcrs            prints the SHA-256 PCRs
 *   probe tree DIR        prints one digest over names and contents of all files below DIR except .gantry*
 *   probe links           makes /dev/lun/N a link to the disk with LUN N, for every disk
 *   probe queue LUN NAME [VALUE]  prints that setting of the disk's queue; sets it first if VALUE is given
 *   probe show PATH...    prints each path with the first line of that file
 *   probe bomb PATH       forks until that fails, prints how often it did not, makes the file, then waits for SIGTERM
 *   probe clock SECONDS   sets the clock by that much
 *   probe attack          tries what a broken service of uid 0 would: prints each and the error, then waits for SIGTERM
 *   probe say TEXT        prints TEXT, then waits for SIGTERM
 *   probe limits          prints how many descriptors it may have, soft and hard, then waits for SIGTERM
 *   probe eat MIB         allocates and writes MIB of memory; prints a line per MiB
 *   probe feed MIB        does the same in a child; prints how the child ended, then waits for SIGTERM
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* SHA-256, FIPS 180-4. */
struct sha256 {
	uint32_t state[8];
	uint64_t size;
	uint8_t block[64];
};

static uint32_t round_constants[64], start_state[8];

/* The constants are fractions of the roots of the first primes: computed, not copied. */
static void sha256_setup(void)
{
	unsigned found = 0;

	for (unsigned n = 2; found < 64; n++) {
		unsigned d = 2;

		while (d * d <= n && n % d)
			d++;
		if (d * d <= n)
			continue;
		/* floor(2^32 * cbrt(n)) mod 2^32, and the same of sqrt(n), by bisection on integers */
		unsigned __int128 low = 0, high = (unsigned __int128)8 << 32;

		while (high - low > 1) {
			unsigned __int128 middle = (low + high) / 2;

			if (middle * middle * middle <= (unsigned __int128)n << 96)
				low = middle;
			else
				high = middle;
		}
		round_constants[found] = (uint32_t)low;
		if (found < 8) {
			low = 0, high = (unsigned __int128)32 << 32;
			while (high - low > 1) {
				unsigned __int128 middle = (low + high) / 2;

				if (middle * middle <= (unsigned __int128)n << 64)
					low = middle;
				else
					high = middle;
			}
			start_state[found] = (uint32_t)low;
		}
		found++;
	}
}

static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static uint32_t big_endian(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void sha256_block(struct sha256 *h, const uint8_t *p)
{
	uint32_t w[64], s[8];

	for (int i = 0; i < 16; i++)
		w[i] = big_endian(p + 4 * i);
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(s, h->state, sizeof(s));
	for (int i = 0; i < 64; i++) {
		uint32_t a = s[0], e = s[4];
		uint32_t one = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
			       ((e & s[5]) ^ (~e & s[6])) + round_constants[i] + w[i];
		uint32_t two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
			       ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += one;
		s[0] = one + two;
	}
	for (int i = 0; i < 8; i++)
		h->state[i] += s[i];
}

static void sha256_begin(struct sha256 *h)
{
	memcpy(h->state, start_state, sizeof(start_state));
	h->size = 0;
}

static void sha256_add(struct sha256 *h, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;

	while (size) {
		size_t used = h->size % 64, part = size < 64 - used ? size : 64 - used;

		memcpy(h->block + used, p, part);
		h->size += part;
		p += part;
		size -= part;
		if (h->size % 64 == 0)
			sha256_block(h, h->block);
	}
}

static void sha256_end(struct sha256 *h, char hex[65])
{
	uint64_t bits = h->size * 8;
	uint8_t tail[8];

	sha256_add(h, "\x80", 1);
	while (h->size % 64 != 56)
		sha256_add(h, "", 1);
	for (int i = 0; i < 8; i++)
		tail[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_add(h, tail, 8);
	for (int i = 0; i < 8; i++)
		sprintf(hex + 8 * i, "%08x", h->state[i]);
}

static int pcrs(void)
{
	char path[64], value[65];

	for (int i = 0; i < 24; i++) {
		int fd;
		ssize_t size;

		snprintf(path, sizeof(path), "/sys/class/tpm/tpm0/pcr-sha256/%d", i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			printf("%s: %s\n", path, strerror(errno));
			return 1;
		}
		size = read(fd, value, 64);
		close(fd);
		for (ssize_t c = 0; c < size; c++)
			value[c] = (char)tolower(value[c]);
		printf("pcr %d is %.*s\n", i, (int)size, value);
	}
	return 0;
}

#define NAMES_MAX 4096

static char *names[NAMES_MAX];
static size_t n_names;

static int collect(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_F && S_ISREG(st->st_mode) && !strstr(path, "/.gantry") && n_names < NAMES_MAX)
		names[n_names++] = strdup(path);
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int tree(const char *folder)
{
	static uint8_t buffer[1 << 16];
	struct sha256 all;
	char hex[65];
	unsigned long long bytes = 0;

	sha256_setup();
	sha256_begin(&all);
	nftw(folder, collect, 16, FTW_PHYS | FTW_MOUNT);
	qsort(names, n_names, sizeof(names[0]), compare);
	for (size_t i = 0; i < n_names; i++) {
		struct sha256 one;
		int fd = open(names[i], O_RDONLY | O_CLOEXEC);
		ssize_t size;

		sha256_begin(&one);
		while (fd >= 0 && (size = read(fd, buffer, sizeof(buffer))) > 0)
			sha256_add(&one, buffer, (size_t)size);
		bytes += one.size;
		sha256_end(&one, hex);
		close(fd);
		sha256_add(&all, names[i] + strlen(folder), strlen(names[i] + strlen(folder)) + 1);
		sha256_add(&all, hex, 64);
	}
	sha256_end(&all, hex);
	printf("tree %s is %s with %zu files of %llu bytes\n", folder, hex, n_names, bytes);
	return 0;
}

/* The first name in /sys/class/scsi_disk/H:C:T:LUN/device/block, or NULL. */
static const char *disk_name(const char *address, char path[300])
{
	static char name[64];
	DIR *folder;
	struct dirent *entry;

	snprintf(path, 300, "/sys/class/scsi_disk/%s/device/block", address);
	folder = opendir(path);
	name[0] = '\0';
	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			snprintf(name, sizeof(name), "%.60s", entry->d_name);
	if (folder)
		closedir(folder);
	return name[0] ? name : NULL;
}

/* Calls `each` with LUN and name of every SCSI disk. */
static int for_disks(int (*each)(const char *lun, const char *name, char **arguments), char **arguments)
{
	DIR *folder = opendir("/sys/class/scsi_disk");
	struct dirent *entry;
	char path[300];
	int done = 0;

	while (folder && (entry = readdir(folder))) {
		const char *name = entry->d_name[0] == '.' ? NULL : disk_name(entry->d_name, path);

		if (name)
			done += each(strrchr(entry->d_name, ':') + 1, name, arguments);
	}
	if (folder)
		closedir(folder);
	return done ? 0 : 1;
}

static int link_disk(const char *lun, const char *name, char **arguments)
{
	char from[80], to[80];

	(void)arguments;
	snprintf(from, sizeof(from), "/dev/lun/%s", lun);
	snprintf(to, sizeof(to), "/dev/%s", name);
	mkdir("/dev/lun", 0755);
	if (symlink(to, from) < 0)
		return 0;
	printf("%s is %s\n", from, to);
	return 1;
}

static int set_queue(const char *lun, const char *name, char **arguments)
{
	char path[160], value[128];
	ssize_t size;
	int fd;

	if (strcmp(lun, arguments[0]))
		return 0;
	snprintf(path, sizeof(path), "/sys/block/%s/queue/%s", name, arguments[1]);
	fd = open(path, (arguments[2] ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0 || (arguments[2] && write(fd, arguments[2], strlen(arguments[2])) < 0)) {
		printf("%s: %s\n", path, strerror(errno));
		return 0;
	}
	size = pread(fd, value, sizeof(value), 0);
	close(fd);
	printf("%s is %.*s\n", path, size > 0 ? (int)size - 1 : 0, value);
	return 1;
}

static int eat(const char *mib)
{
	for (long i = 1; i <= strtol(mib, NULL, 10); i++) {
		char *bytes = malloc(1 << 20);

		if (!bytes)
			return 1;
		memset(bytes, 1, 1 << 20);
		printf("%ld MiB\n", i);
	}
	return 0;
}

static int feed(const char *mib)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(eat(mib));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 1;
	printf("the child ended by signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	pause();
	return 0;
}

static int show(char **paths)
{
	char line[256];

	for (; *paths; paths++) {
		FILE *file = fopen(*paths, "re");

		if (!file || !fgets(line, sizeof(line), file))
			snprintf(line, sizeof(line), "(%s)", file ? "empty" : strerror(errno));
		line[strcspn(line, "\n")] = '\0';
		printf("%s %s\n", *paths, line);
		if (file)
			fclose(file);
	}
	return 0;
}

static int step_clock(long seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += seconds;
	return clock_settime(CLOCK_REALTIME, &now) < 0;
}

static int bomb(const char *path)
{
	long n = 0;
	pid_t child;
	int fd;

	while ((child = fork()) > 0)
		n++;
	if (child == 0) {
		pause();
		_exit(0);
	}
	printf("%ld processes, and no more: %s\n", n, strerror(errno));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return 1;
	close(fd);
	pause();
	return 0;
}

static int open_for_writing(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? fd : close(fd);
}

static void say_try(const char *name, int r)
{
	printf("%s: %s\n", name, r < 0 ? strerror(errno) : "done");
}

static int attack(void)
{
	say_try("replace /init", rename("/bin/gantryctl", "/init"));
	say_try("write /etc/passwd", open_for_writing("/etc/passwd"));
	say_try("mkdir /etc/new", mkdir("/etc/new", 0755));
	say_try("unlink /bin/gantryctl", unlink("/bin/gantryctl"));
	say_try("mount over /etc", mount("tmpfs", "/etc", "tmpfs", 0, NULL));
	say_try("remount /", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
	say_try("open /dev/tpmrm0", open_for_writing("/dev/tpmrm0"));
	say_try("kill PID 1", kill(1, SIGSEGV));
	say_try("write core_pattern", open_for_writing("/proc/sys/kernel/core_pattern"));
	say_try("kill a cgroup", open_for_writing("/sys/fs/cgroup/gantry/attack/cgroup.kill"));
	puts("that was all");
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "pcrs"))
		return pcrs();
	if (argc == 3 && !strcmp(argv[1], "tree"))
		return tree(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "links"))
		return for_disks(link_disk, NULL);
	if ((argc == 4 || argc == 5) && !strcmp(argv[1], "queue"))
		return for_disks(set_queue, argv + 2);
	if (argc == 3 && !strcmp(argv[1], "eat"))
		return eat(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "feed"))
		return feed(argv[2]);
	if (argc > 2 && !strcmp(argv[1], "show"))
		return show(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "clock"))
		return step_clock(atol(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "bomb"))
		return bomb(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "attack"))
		return attack();
	if (argc == 2 && !strcmp(argv[1], "limits")) {
		struct rlimit limit;

		getrlimit(RLIMIT_NOFILE, &limit);
		printf("descriptors %llu %llu\n", (unsigned long long)limit.rlim_cur,
		       (unsigned long long)limit.rlim_max);
		pause();
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "say")) {
		puts(argv[2]);
		pause();
		return 0;
	}
	fprintf(stderr,
		"usage: probe pcrs | tree DIR | links | queue LUN NAME [VALUE] | show PATH... | bomb PATH |\n"
		"       clock SECONDS | attack | say TEXT | limits | eat MIB | feed MIB\n");
	return 2;
}
