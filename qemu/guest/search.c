/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Searches everything on the machine that root can read for byte strings that must not be there. In the test image
 * only.
 *
 *   search LABEL=HEX...   each string with every byte XOR 0xa5, in hex
 *
 * Searches the memory of every process (including PID 1), command lines, environments, open memfds, regular files of
 * every file system, and the kernel's log. Prints a line for each place where it finds a string, and a summary. It
 * skips itself, and holds the strings only in that disguised form, so that it does not find its own copy.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISGUISE     0xa5
#define PATTERNS_MAX 32
#define LENGTH_MAX   1024
#define CHUNK        (1 << 20)
#define KLOG_READ_ALL 3

static struct pattern {
	const char *label;
	uint8_t bytes[LENGTH_MAX];	/* disguised */
	size_t length;
	bool found_here;
} patterns[PATTERNS_MAX];

static size_t n_patterns;
static uint8_t starts[1 << 16];		/* by the first two bytes of a text: whether a pattern may begin there */
static uint8_t buffer[LENGTH_MAX + CHUNK];
static unsigned files, processes, memfds, hits;
static unsigned long long memory_bytes, file_bytes;

static bool same(const uint8_t *text, const struct pattern *p)
{
	for (size_t i = 0; i < p->length; i++)
		if ((text[i] ^ DISGUISE) != p->bytes[i])
			return false;
	return true;
}

/* Every pattern that lies wholly in the text and was not told yet of this place. */
static void search_text(const uint8_t *text, size_t size, const char *place)
{
	for (size_t i = 0; i + 1 < size; i++) {
		if (!starts[text[i] << 8 | text[i + 1]])
			continue;
		for (size_t n = 0; n < n_patterns; n++) {
			struct pattern *p = &patterns[n];

			if (p->found_here || p->length > size - i || !same(text + i, p))
				continue;
			p->found_here = true;
			hits++;
			printf("found %s in %s\n", p->label, place);
		}
	}
}

static void new_place(void)
{
	for (size_t n = 0; n < n_patterns; n++)
		patterns[n].found_here = false;
}

/* Of what lies from offset on; at most so many bytes. What cannot be read ends it. */
static unsigned long long search_fd(int fd, uint64_t offset, uint64_t size, const char *place)
{
	size_t keep = 0;
	unsigned long long all = 0;

	while (all < size) {
		uint64_t left = size - all;
		ssize_t n = pread(fd, buffer + keep, left < CHUNK ? (size_t)left : CHUNK, (off_t)(offset + all));
		size_t have;

		if (n <= 0)
			break;
		all += (unsigned long long)n;
		have = keep + (size_t)n;
		search_text(buffer, have, place);
		keep = have < LENGTH_MAX ? have : LENGTH_MAX;
		memmove(buffer, buffer + have - keep, keep);
	}
	return all;
}

static unsigned long long search_path(const char *path, const char *place)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	unsigned long long size;

	if (fd < 0)
		return 0;
	new_place();
	size = search_fd(fd, 0, UINT64_MAX, place);
	close(fd);
	return size;
}

static int search_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_F && S_ISREG(st->st_mode)) {
		char place[4200];

		snprintf(place, sizeof(place), "file %s", path);
		files++;
		file_bytes += search_path(path, place);
	}
	return 0;
}

/* Of every file system that is mounted; those of the kernel's own, which nobody's files are in, are left out. */
static void search_files(void)
{
	DIR *root = opendir("/");
	struct dirent *entry;
	char path[300];

	while (root && (entry = readdir(root))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !strcmp(entry->d_name, "proc") ||
		    !strcmp(entry->d_name, "sys"))
			continue;
		snprintf(path, sizeof(path), "/%s", entry->d_name);
		nftw(path, search_entry, 16, FTW_PHYS);
	}
	if (root)
		closedir(root);
}

static void search_memory(const char *pid, const char *name)
{
	char path[300], line[512], place[700];
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	while (mem >= 0 && maps && fgets(line, sizeof(line), maps)) {
		unsigned long long from, to;
		char rights[8], what[256] = "";

		if (sscanf(line, "%llx-%llx %7s %*s %*s %*s %255s", &from, &to, rights, what) < 3 || rights[0] != 'r' ||
		    !strcmp(what, "[vsyscall]"))
			continue;
		snprintf(place, sizeof(place), "memory of %s (%s) at %s", pid, name, what[0] ? what : "anonymous");
		new_place();
		memory_bytes += search_fd(mem, from, to - from, place);
	}
	if (maps)
		fclose(maps);
	if (mem >= 0)
		close(mem);
}

static void search_memfds(const char *pid, const char *name)
{
	char path[300], link[256], place[700];
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%s/fd/%.20s", pid, entry->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		if (strncmp(link, "/memfd:", 7))
			continue;
		memfds++;
		snprintf(place, sizeof(place), "memfd %s of %s (%s)", link + 7, pid, name);
		search_path(path, place);
	}
	if (folder)
		closedir(folder);
}

static void search_process(const char *pid)
{
	char path[300], name[64] = "", place[200];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (read(fd, name, sizeof(name) - 1) > 0)
		name[strcspn(name, "\n")] = '\0';
	close(fd);
	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	snprintf(place, sizeof(place), "command line of %s (%s)", pid, name);
	if (search_path(path, place) == 0)	/* a kernel thread */
		return;
	processes++;
	snprintf(path, sizeof(path), "/proc/%s/environ", pid);
	snprintf(place, sizeof(place), "environment of %s (%s)", pid, name);
	search_path(path, place);
	search_memory(pid, name);
	search_memfds(pid, name);
}

static void search_processes(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]) && atoi(entry->d_name) != getpid())
			search_process(entry->d_name);
	if (proc)
		closedir(proc);
}

static void search_kernel_log(void)
{
	int n = klogctl(KLOG_READ_ALL, (char *)buffer, CHUNK);

	new_place();
	if (n > 0)
		search_text(buffer, (size_t)n, "the kernel's log");
}

/* LABEL=HEX; false if it is not that. */
static bool add_pattern(char *argument)
{
	struct pattern *p = &patterns[n_patterns];
	char *equals = strchr(argument, '=');

	if (!equals || n_patterns == PATTERNS_MAX || strlen(equals + 1) > 2 * LENGTH_MAX)
		return false;
	*equals = '\0';
	p->label = argument;
	for (const char *hex = equals + 1; hex[0] && hex[1]; hex += 2) {
		unsigned value;

		if (sscanf(hex, "%2x", &value) != 1)
			return false;
		p->bytes[p->length++] = (uint8_t)value;
	}
	if (p->length < 4)
		return false;
	starts[(p->bytes[0] ^ DISGUISE) << 8 | (p->bytes[1] ^ DISGUISE)] = 1;
	n_patterns++;
	return true;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		if (!add_pattern(argv[i])) {
			fprintf(stderr, "usage: search LABEL=HEX...\n");
			return 125;
		}
	}
	search_processes();
	search_files();
	search_kernel_log();
	printf("searched %u processes with %llu KiB of memory and %u memfds, %u files with %llu KiB: found %u\n",
	       processes, memory_bytes >> 10, memfds, files, file_bytes >> 10, hits);
	return 0;
}
