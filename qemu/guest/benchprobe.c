/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Measures the boot from inside, for `make bench` (docs/bench.md); in the test image only. The kernel starts it as
 * PID 1 (rdinit=): it records the time, turns process accounting on and executes /init. So the time of PID 1's exec
 * and every process after it are known exactly, and not derived from what is left at the end. `benchprobe report`,
 * which a stage starts when all services are ready, prints its results, one per line.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acct.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#define ACCOUNTS "/bench.acct"
#define KTHREADD 2

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The number after KEY in a file of "Key:  number kB" lines. */
static long value_of(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[256];
	long value = -1;

	while (file && value < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = strtol(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return value;
}

/* Never returns: without /init there is nothing to measure, and the kernel says so. */
static void become_init(char **argv)
{
	int fd = open(ACCOUNTS, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || acct(ACCOUNTS) < 0)
		printf("benchprobe: no process accounting: %s\n", strerror(errno));
	mount("proc", "/proc", "proc", 0, NULL);
	printf("benchprobe: available %ld\n", value_of("/proc/meminfo", "MemAvailable:"));
	umount("/proc");
	printf("benchprobe: exec at %.6f\n", now());
	fflush(stdout);
	argv[0] = "/init";
	execv("/init", argv);
	printf("benchprobe: /init: %s\n", strerror(errno));
	exit(1);
}

static void say_process(const char *how, const char *name, long pid, long parent)
{
	printf("%s process=%s pid=%ld parent=%ld\n", how, name, pid, parent);
}

/* Those that have ended, as the kernel wrote them down (struct acct_v3, accounting version 3). */
static void ended_processes(void)
{
	FILE *file = fopen(ACCOUNTS, "re");
	struct acct_v3 record;

	while (file && fread(&record, sizeof(record), 1, file) == 1) {
		record.ac_comm[sizeof(record.ac_comm) - 1] = '\0';
		if (record.ac_pid != 1 && record.ac_ppid != KTHREADD)
			say_process("ended", record.ac_comm, record.ac_pid, record.ac_ppid);
	}
	if (file)
		fclose(file);
}

/* Those that live, without the kernel's own and without the stage that runs this program. */
static void living_processes(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		char path[300], line[512] = "", *name, *rest, state = 0;
		long pid = atol(entry->d_name), parent = 0;
		FILE *file;

		if (!isdigit((unsigned char)entry->d_name[0]) || pid <= KTHREADD || pid == getpid() || pid == getppid())
			continue;
		snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (!fgets(line, sizeof(line), file))
			line[0] = '\0';
		fclose(file);
		name = strchr(line, '(');
		rest = strrchr(line, ')');
		if (!name || !rest || sscanf(rest + 1, " %c %ld", &state, &parent) != 2)
			continue;
		*rest = '\0';
		if (parent != KTHREADD && state != 'Z')
			say_process("living", name + 1, pid, parent);
	}
	if (proc)
		closedir(proc);
}

static int report(void)
{
	long total = value_of("/proc/meminfo", "MemTotal:");

	/* the memory first: what follows makes pages of its own */
	printf("memory total_kib=%ld available_kib=%ld\n", total, value_of("/proc/meminfo", "MemAvailable:"));
	printf("pid1 rss_kib=%ld pss_kib=%ld private_dirty_kib=%ld\n", value_of("/proc/1/smaps_rollup", "Rss:"),
	       value_of("/proc/1/smaps_rollup", "Pss:"), value_of("/proc/1/smaps_rollup", "Private_Dirty:"));
	printf("kernel min_free_kib=%ld slab_kib=%ld shmem_kib=%ld tasks=%ld\n",
	       value_of("/proc/sys/vm/min_free_kbytes", ""), value_of("/proc/meminfo", "Slab:"),
	       value_of("/proc/meminfo", "Shmem:"), value_of("/proc/stat", "processes"));
	printf("taken kib=%ld\n", total - value_of("/proc/meminfo", "MemFree:") -
	       value_of("/proc/meminfo", "Active(file):") - value_of("/proc/meminfo", "Inactive(file):") -
	       value_of("/proc/meminfo", "SReclaimable:"));
	ended_processes();
	living_processes();
	puts("end");
	return 0;
}

int main(int argc, char **argv)
{
	if (getpid() == 1)
		become_init(argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "report"))
		return report();
	fprintf(stderr, "usage: benchprobe report, or as PID 1 before /init\n");
	return 2;
}
