/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks at every process of the machine again and again, for boot tests: what the kernel says of its rights and what
 * its descriptors are, each time that this has changed. Only a process that waits is looked at: one that runs may be on
 * its way to fewer rights. In the test image only.
 *
 *   process PID COMM TITLE|PPid|Uid|Gid|Groups|CapPrm|CapEff|CapInh|CapBnd|CapAmb|NoNewPrivs|Seccomp|Seccomp_filters|
 *           ROOT|NAMESPACES  (in one line)
 *   holds PID KIND...        (a path, TCP, UNIX-STREAM:/path, pipe, ...; each kind once; more lines if it is long)
 *   writes PID MOUNT...      (of one with mounts of its own: those that are not read-only)
 *   gone PID                 (one of which something was printed)
 *   looked N                 (after every 8th look)
 *
 * A space within a word is written as _. It looks until SIGTERM; with pids as arguments, at these, and once.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PIDS_MAX  (1 << 22)		/* the kernel's; a namespace of processes has no smaller limit by itself */
#define KINDS_MAX 128
#define KIND_MAX  160
#define LINE_MAX_BYTES 400

#define RESTS 8				/* looks at others after one that showed nothing new, to see short processes */

static uint64_t last[PIDS_MAX];		/* the digest of what was printed of each pid */
static unsigned char rests[PIDS_MAX];
static bool here[PIDS_MAX];		/* in this look */
static long highest;

static size_t read_proc(const char *pid, const char *name, char *ret, size_t size)
{
	char path[300];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, ret, size - 1);
	if (fd >= 0)
		close(fd);
	ret[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/*
 * Only what waits: it sleeps, and the kernel names the call in which it does. Gives a number that is another one each
 * time it has gone to sleep; 0: it does not wait.
 */
static unsigned long waits(const char *pid)
{
	static const char name[] = "\nvoluntary_ctxt_switches:";
	char text[4096];
	const char *at;
	unsigned long times;

	if (!read_proc(pid, "status", text, sizeof(text)) || !strstr(text, "\nState:\tS"))
		return 0;
	at = strstr(text, name);
	times = 1 + (at ? strtoul(at + strlen(name), NULL, 10) : 0);
	return read_proc(pid, "syscall", text, sizeof(text)) && isdigit((unsigned char)text[0]) ? times : 0;
}

static uint64_t digest(uint64_t so_far, const char *text)
{
	for (; *text; text++)
		so_far = (so_far ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return so_far;
}

static void as_words(char *text)
{
	for (; *text; text++)
		if (*text == ' ' || *text == '\t' || *text == '\n')
			*text = '_';
}

struct kinds {
	char word[KINDS_MAX][KIND_MAX];
	size_t n;
};

static void add_kind(struct kinds *kinds, const char *kind)
{
	for (size_t i = 0; i < kinds->n; i++)
		if (!strcmp(kinds->word[i], kind))
			return;
	if (kinds->n < KINDS_MAX)
		snprintf(kinds->word[kinds->n++], KIND_MAX, "%s", kind);
}

/* The type and path of a Unix socket; "" if it is not known any more. */
static void unix_socket(unsigned long inode, char *ret, size_t size)
{
	FILE *file = fopen("/proc/net/unix", "re");
	char line[400];

	ret[0] = '\0';
	while (file && fgets(line, sizeof(line), file)) {
		unsigned long number;
		unsigned type;
		int end = 0;

		if (sscanf(line, "%*s %*s %*s %*s %x %*s %lu%n", &type, &number, &end) != 2 || number != inode)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret, size, "%s:%s", type == 1 ? "STREAM" : type == 2 ? "DGRAM" : "SEQPACKET",
			 line[end] == ' ' ? line + end + 1 : "");
		break;
	}
	if (file)
		fclose(file);
}

static bool is_there(const char *link, const char *target)
{
	char now[PATH_MAX];
	ssize_t n = readlink(link, now, sizeof(now) - 1);

	now[n > 0 ? n : 0] = '\0';
	return !strcmp(now, target);
}

static void describe_socket(const char *link, const char *target, char *ret, size_t size)
{
	char protocol[32];
	ssize_t n = getxattr(link, "system.sockprotoname", protocol, sizeof(protocol) - 1);
	char more[KIND_MAX - 8];

	protocol[n > 0 ? n : 0] = '\0';
	if (strncmp(protocol, "UNIX", 4) != 0) {
		snprintf(ret, size, "%s", protocol[0] ? protocol : "socket");
		return;
	}
	unix_socket(strtoul(target + strlen("socket:["), NULL, 10), more, sizeof(more));
	/* One that was closed meanwhile is none. */
	ret[0] = '\0';
	if (more[0] || is_there(link, target))
		snprintf(ret, size, "UNIX-%s", more);
}

/* 'w' behind the path of what is open for writing. */
static bool is_writable(const char *pid, const char *fd)
{
	char name[300], text[400];
	const char *flags;

	snprintf(name, sizeof(name), "fdinfo/%s", fd);
	if (!read_proc(pid, name, text, sizeof(text)) || !(flags = strstr(text, "flags:")))
		return false;
	return strtoul(flags + 6, NULL, 8) & (O_WRONLY | O_RDWR);	/* O_ACCMODE may have O_PATH, too */
}

static void describe(const char *pid, const char *fd, struct kinds *kinds)
{
	char link[600], target[PATH_MAX], kind[KIND_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%s/fd/%s", pid, fd);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	if (!strncmp(target, "socket:", 7))
		describe_socket(link, target, kind, sizeof(kind));
	else if (!strncmp(target, "pipe:", 5))
		snprintf(kind, sizeof(kind), "pipe");
	else
		snprintf(kind, sizeof(kind), "%.140s%s", target,
			 target[0] == '/' && is_writable(pid, fd) ? ":w" : "");
	as_words(kind);
	if (kind[0])
		add_kind(kinds, kind);
}

static void look_at_descriptors(const char *pid, struct kinds *kinds)
{
	char path[300];
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	folder = opendir(path);
	if (!folder)
		add_kind(kinds, "unreadable");
	while (folder && (entry = readdir(folder)))
		if (isdigit((unsigned char)entry->d_name[0]))
			describe(pid, entry->d_name, kinds);
	if (folder)
		closedir(folder);
}

/* The mount points that can be written to. */
static void look_at_mounts(const char *pid, struct kinds *kinds)
{
	char path[300], line[2000], where[PATH_MAX], options[400];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/mountinfo", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		const char *of_file_system = strstr(line, " - ");

		if (sscanf(line, "%*s %*s %*s %*s %4000s %399s", where, options) == 2 && !strncmp(options, "rw", 2) &&
		    of_file_system && sscanf(of_file_system, " - %*s %*s %399s", options) == 1 &&
		    !strncmp(options, "rw", 2))
			add_kind(kinds, where);
	}
	if (file)
		fclose(file);
}

static void print_kinds(const char *what, const char *pid, const struct kinds *kinds)
{
	size_t used = 0;

	for (size_t i = 0; i < kinds->n || (i == 0 && kinds->n == 0); i++) {
		const char *word = kinds->n ? kinds->word[i] : "";

		if (used && used + strlen(word) + 1 > LINE_MAX_BYTES) {
			putchar('\n');
			used = 0;
		}
		if (!used)
			used = (size_t)printf("%s %s", what, pid);
		used += (size_t)printf(" %s", word);
	}
	putchar('\n');
}

/* The value of a line of /proc/PID/status, with commas between its words. */
static void append_line(char *line, size_t size, const char *status, const char *name)
{
	char key[32];
	const char *at;
	size_t n = strlen(line);

	snprintf(key, sizeof(key), "\n%s:\t", name);
	at = strstr(status, key);
	if (n + 1 < size)
		line[n++] = '|';
	for (at = at ? at + strlen(key) : "\n"; *at && *at != '\n' && n + 1 < size; at++)
		if (*at != ' ' || (at[1] && at[1] != '\n'))
			line[n++] = *at == '\t' || *at == ' ' ? ',' : *at;
	line[n] = '\0';
}

/* Namespaces that are not those of PID 1. */
static void append_namespaces(char *line, size_t size, const char *pid, bool *own_mounts)
{
	static const char *const names[] = {"mnt", "net", "pid", "user", "ipc", "uts", "cgroup"};

	strncat(line, "|", size - strlen(line) - 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[300], his[64] = "", ones[64] = "";

		snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, names[i]);
		if (readlink(path, his, sizeof(his) - 1) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/1/ns/%s", names[i]);
		if (readlink(path, ones, sizeof(ones) - 1) > 0 && strcmp(his, ones) != 0) {
			strncat(line, names[i], size - strlen(line) - 1);
			strncat(line, ",", size - strlen(line) - 1);
			*own_mounts = *own_mounts || i == 0;
		}
	}
}

static void look_at(const char *pid)
{
	static const char *const lines[] = {"PPid", "Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapInh", "CapBnd",
					    "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"};
	static struct kinds holds, writes;
	char status[4096], comm[32], title[120], path[300], root[100] = "", line[1000];
	bool own_mounts = false;
	uint64_t now = UINT64_C(14695981039346656037);
	unsigned long times;
	long number = strtol(pid, NULL, 10);
	size_t n;

	if (number >= PIDS_MAX)
		return;
	here[number] = true;
	highest = number > highest ? number : highest;
	if (rests[number]) {
		rests[number]--;
		return;
	}
	n = read_proc(pid, "cmdline", title, sizeof(title));
	/* A thread of the kernel has no command line. */
	times = n ? waits(pid) : 0;
	if (!times)
		return;
	for (size_t i = 0; i + 1 < n; i++)
		if (!title[i])
			title[i] = ' ';
	as_words(title);
	read_proc(pid, "comm", comm, sizeof(comm));
	comm[strcspn(comm, "\n")] = '\0';
	as_words(comm);
	snprintf(path, sizeof(path), "/proc/%s/root", pid);
	if (!read_proc(pid, "status", status, sizeof(status)) || readlink(path, root, sizeof(root) - 1) <= 0)
		return;
	snprintf(line, sizeof(line), "process %s %s %s", pid, comm, title);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		append_line(line, sizeof(line), status, lines[i]);
	snprintf(line + strlen(line), sizeof(line) - strlen(line), "|%s", root);
	append_namespaces(line, sizeof(line), pid, &own_mounts);
	holds.n = writes.n = 0;
	look_at_descriptors(pid, &holds);
	if (own_mounts)
		look_at_mounts(pid, &writes);
	if (waits(pid) != times)	/* it went on in between: what was read may be half of each */
		return;
	now = digest(now, line);
	for (size_t i = 0; i < holds.n; i++)
		now = digest(now, holds.word[i]);
	for (size_t i = 0; i < writes.n; i++)
		now = digest(now, writes.word[i]);
	if (now == last[number]) {
		rests[number] = RESTS;
		return;
	}
	last[number] = now;
	puts(line);
	print_kinds("holds", pid, &holds);
	if (own_mounts)
		print_kinds("writes", pid, &writes);
}

static void tell_gone(void)
{
	for (long pid = 1; pid <= highest; pid++) {
		if (last[pid] && !here[pid]) {
			printf("gone %ld\n", pid);
			last[pid] = 0;
			rests[pid] = 0;
		}
		here[pid] = false;
	}
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 2000000};

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
		look_at(argv[i]);
	if (argc > 1)
		return 0;
	for (unsigned long looks = 1;; looks++) {
		DIR *proc = opendir("/proc");
		struct dirent *entry;

		while (proc && (entry = readdir(proc)))
			if (isdigit((unsigned char)entry->d_name[0]))
				look_at(entry->d_name);
		if (proc)
			closedir(proc);
		tell_gone();
		if (looks % 8 == 0)
			printf("looked %lu\n", looks);
		nanosleep(&pause, NULL);
	}
}
