/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements cgroup.h. Files are opened by path at each use: descriptors kept open would be one more for each service,
 * and a cgroup's files are read rarely.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"
#include "init/event/event.h"
#include "init/lib/procfs.h"

#ifndef CGROUP_ROOT
#define CGROUP_ROOT "/sys/fs/cgroup"
#endif
#define BASE      CGROUP_ROOT "/gantry"
#define DEPTH_MAX 8	/* levels below a service's cgroup that are signalled and removed */

#define PIDS_SHARE 15	/* percent; systemd's DefaultTasksMax=, for the same reason */

static bool present;
static char pids_max[24];	/* of a cgroup by default; "": no limit */

const char *cgroup_path(const char *name, const char *file, char *path)
{
	snprintf(path, CGROUP_PATH_MAX, BASE "/%s%s%s", name, *file ? "/" : "", file);
	return path;
}

static int write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Reads the file into ret and terminates it with NUL; false if it is missing or empty. */
static bool read_path(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, ret, size - 1);
	close(fd);
	ret[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool read_file(const char *name, const char *file, char *ret, size_t size)
{
	char path[CGROUP_PATH_MAX];

	return present && read_path(cgroup_path(name, file, path), ret, size);
}

/* A share of the smallest of what bounds all processes together; no bound known, no limit. */
static void find_pids_max(void)
{
	static const char *const bounds[] = {"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max",
					     CGROUP_ROOT "/pids.max"};
	unsigned long long least = 0;
	char text[32];

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		unsigned long long bound = read_path(bounds[i], text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;

		if (bound && (!least || bound < least))
			least = bound;
	}
	if (least)
		snprintf(pids_max, sizeof(pids_max), "%llu", least * PIDS_SHARE / 100 + 1);
}

void cgroup_init(bool limit_pids)
{
	static const char *const controllers[] = {"+cpu", "+memory", "+io", "+pids"};

	if (limit_pids)
		find_pids_max();
	if (mkdir(BASE, 0755) < 0 && errno != EEXIST) {
		event_say(EVENT_WARNING, "gantry", "cgroup2: cannot create %s: %s; services run without limits", BASE,
			  strerror(errno));
		return;
	}
	present = access(BASE "/cgroup.procs", F_OK) == 0;
	if (!present)
		event_say(EVENT_WARNING, "gantry", "cgroup2 is not mounted; services run without limits");
	if (!present || (write_file(CGROUP_ROOT "/cgroup.subtree_control", "+cpu +memory +io +pids") == 0 &&
			 write_file(BASE "/cgroup.subtree_control", "+cpu +memory +io +pids") == 0))
		return;
	/* One missing controller makes the whole write fail, so enable each by itself. */
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		write_file(CGROUP_ROOT "/cgroup.subtree_control", controllers[i]);
		write_file(BASE "/cgroup.subtree_control", controllers[i]);
	}
}

bool cgroup_present(void)
{
	return present;
}

int cgroup_make(const char *name)
{
	char path[CGROUP_PATH_MAX];

	if (!present)
		return -ENOSYS;
	if (mkdir(cgroup_path(name, "", path), 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	if (pids_max[0])
		cgroup_set(name, "pids.max", pids_max);
	return 0;
}

int cgroup_set(const char *name, const char *file, const char *value)
{
	char path[CGROUP_PATH_MAX];

	return present ? write_file(cgroup_path(name, file, path), value) : -ENOSYS;
}

int cgroup_open(const char *name)
{
	char path[CGROUP_PATH_MAX];

	return present ? open(cgroup_path(name, "", path), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

bool cgroup_kill(const char *name)
{
	return cgroup_set(name, "cgroup.kill", "1") == 0;
}

/* ---- the folders below it ------------------------------------------------------------------------------------- */

/* A process reaped between read and kill() is harmless: the kernel does not reuse its pid that soon. */
static bool signal_members(int folder, int sig)
{
	char bytes[4096], *line = bytes;
	size_t kept = 0;
	bool any = false;
	ssize_t n;
	int fd = openat(folder, "cgroup.procs", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	while ((n = read(fd, bytes + kept, sizeof(bytes) - 1 - kept)) > 0) {
		bytes[kept + (size_t)n] = '\0';
		line = bytes;
		for (char *end; (end = strchr(line, '\n')); line = end + 1) {
			pid_t pid = (pid_t)strtol(line, NULL, 10);

			any |= pid > 1 && kill(pid, sig) == 0;
		}
		kept = strlen(line);
		memmove(bytes, line, kept);
	}
	close(fd);
	return any;
}

/* Signals every process in and below `parent`/`name`; with sig 0, removes the folders instead, innermost first. */
static bool descend(int parent, const char *name, int sig, int depth)
{
	/* The kernel's layout, which is also that of musl's struct dirent. */
	union {
		struct dirent entry;
		char bytes[2048];
	} buffer;
	bool any = false;
	long n;
	int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return false;
	while (depth < DEPTH_MAX && (n = syscall(SYS_getdents64, folder, buffer.bytes, sizeof(buffer.bytes))) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent *entry = (const struct dirent *)(buffer.bytes + at);

			at += entry->d_reclen;
			if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
				any |= descend(folder, entry->d_name, sig, depth + 1);
		}
	}
	if (sig)
		any |= signal_members(folder, sig);
	close(folder);
	if (!sig)
		unlinkat(parent, name, AT_REMOVEDIR);
	return any;
}

bool cgroup_signal(const char *name, int sig)
{
	char path[CGROUP_PATH_MAX];

	return present && descend(AT_FDCWD, cgroup_path(name, "", path), sig, 0);
}

bool cgroup_populated(const char *name)
{
	char text[128];

	return read_file(name, "cgroup.events", text, sizeof(text)) && strstr(text, "populated 1");
}

bool cgroup_bare(const char *name)
{
	char text[128], path[CGROUP_PATH_MAX];
	struct stat st;

	/* A folder's link count is 2 plus the number of folders in it. */
	return read_file(name, "cgroup.events", text, sizeof(text)) && strstr(text, "populated 0") &&
	       !strstr(text, "frozen 1") && stat(cgroup_path(name, "", path), &st) == 0 && st.st_nlink == 2;
}

int cgroup_remove(const char *name)
{
	char path[CGROUP_PATH_MAX];
	int r;

	if (!present)
		return 0;
	cgroup_path(name, "", path);
	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	r = -errno;
	if (r != -EBUSY || cgroup_populated(name))
		return r;
	descend(AT_FDCWD, path, 0, 0);
	return access(path, F_OK) < 0 ? 0 : -EBUSY;
}

/* ---- usage ---------------------------------------------------------------------------------------------------- */

/* The number after a key in a file of "key number" lines; with key "", the only number. */
static uint64_t number_of(const char *text, const char *key)
{
	size_t n = strlen(key);
	unsigned long long value;
	char *end;

	while (n && (strncmp(text, key, n) || text[n] != ' ')) {
		text = strchr(text, '\n');
		if (!text)
			return CGROUP_UNKNOWN;
		text++;
	}
	text += n ? n + 1 : 0;
	if (*text < '0' || *text > '9')
		return CGROUP_UNKNOWN;	/* "max" */
	value = strtoull(text, &end, 10);
	return *end == '\n' || !*end ? value : CGROUP_UNKNOWN;
}

static uint64_t read_number(const char *name, const char *file, const char *key)
{
	char text[512];

	return read_file(name, file, text, sizeof(text)) ? number_of(text, key) : CGROUP_UNKNOWN;
}

void cgroup_measure(const char *name, struct cgroup_usage *ret)
{
	ret->memory_bytes = read_number(name, "memory.current", "");
	ret->memory_peak_bytes = read_number(name, "memory.peak", "");
	ret->cpu_us = read_number(name, "cpu.stat", "usage_usec");
	ret->processes = read_number(name, "pids.current", "");
}

bool cgroup_oom(const char *name, uint64_t *ret_limit_hit, uint64_t *ret_killed)
{
	char text[512];
	uint64_t hit, killed;

	if (!read_file(name, "memory.events", text, sizeof(text)))
		return false;
	hit = number_of(text, "oom");
	killed = number_of(text, "oom_kill");
	if (hit == CGROUP_UNKNOWN || killed == CGROUP_UNKNOWN)
		return false;
	*ret_limit_hit = hit;
	*ret_killed = killed;
	return true;
}

uint64_t cgroup_memory_max(const char *name)
{
	return read_number(name, "memory.max", "");
}

/* ---- from a pid to its node ----------------------------------------------------------------------------------- */

bool cgroup_of(pid_t pid, char *ret)
{
	char line[512], *at;
	size_t length;

	if (!procfs_read(pid, "cgroup", line, sizeof(line)))
		return false;
	at = strstr(line, "/gantry/");
	if (!at)
		return false;
	at += strlen("/gantry/");
	length = strcspn(at, "~/\n");
	if (!length || length >= NODE_NAME_MAX)
		return false;
	memcpy(ret, at, length);
	ret[length] = '\0';
	return true;
}
