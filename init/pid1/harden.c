/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements harden.h. Each value is read before it is written: the command line may have closed it already, or further
 * than this table does, and the kernel refuses to open it again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "harden.h"
#include "init/event/event.h"
#include "init/lib/config.h"
#include "init/lib/words.h"

#define FIRST_PID_NAMESPACE 0xeffffffc	/* PROC_PID_INIT_INO, since Linux 3.8; in linux/nsfs.h of newer kernels */
#define PATH_SIZE           256	/* of the table's paths, with a test's root before them */
#define OVERRIDE            "proc_mem.force_override=never"

bool harden_own_machine(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == FIRST_PID_NAMESPACE;
}

/* The file's beginning, NUL-terminated; 0 or negative errno. */
static int read_start(const char *path, char *ret, size_t size)
{
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

/* A list of words shows the one in force in brackets; any but the first, which is "none", closes enough. */
static bool is_closed(const char *now, const char *value)
{
	long wanted = strtol(value, NULL, 10);

	if (value[0] < '0' || value[0] > '9')
		return strchr(now, '[') && !strstr(now, "[none]");
	return wanted > 0 ? strtol(now, NULL, 10) >= wanted : !strcmp(now, "0\n");
}

static int close_one(const char *path, const char *value)
{
	_cleanup_(cleanup_close) int fd = -1;
	char now[256];
	int r = read_start(path, now, sizeof(now));

	if (r < 0 || is_closed(now, value))
		return r;
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return -errno;
	return 0;
}

static void report_refused(const struct hardening *row, const char *path, int r)
{
	event_say(EVENT_ERROR, "gantry", "hardening \"%s\": writing %s to %s failed: %s", row->name, row->value, path,
		  error_words(-r));
}

/* Every folder in the place of the "*". 0 or -ENOENT: the folder around them is missing. */
static int close_each(const char *root, const struct hardening *row, const char *star)
{
	char folder[PATH_SIZE], path[PATH_SIZE + NAME_MAX + 64];
	DIR *names;

	snprintf(folder, sizeof(folder), "%s%.*s", root, (int)(star - row->path), row->path);
	names = opendir(folder);
	if (!names)
		return -errno;
	for (const struct dirent *entry; (entry = readdir(names));) {
		int r;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s%s%s", folder, entry->d_name, star + 1);
		r = close_one(path, row->value);
		if (r < 0 && r != -ENOENT)	/* an interface without it, or one that has gone */
			report_refused(row, path, r);
	}
	closedir(names);
	return 0;
}

static int close_row(const char *root, const struct hardening *row)
{
	const char *star = strchr(row->path, '*');
	char path[PATH_SIZE];
	int r;

	if (star)
		return close_each(root, row, star);
	snprintf(path, sizeof(path), "%s%s", root, row->path);
	r = close_one(path, row->value);
	if (r < 0 && r != -ENOENT)
		report_refused(row, path, r);
	return r;
}

static void lacks(char *text, size_t size, const char *name, const char *lost)
{
	size_t n = strlen(text);

	snprintf(text + n, size - n, "%s%s (%s)", n ? ", " : "", name, lost);
}

/* The kernel takes it from its command line only. */
static bool override_is_off(const char *root)
{
	char path[PATH_SIZE], line[4096];

	snprintf(path, sizeof(path), "%s/proc/cmdline", root);
	return read_start(path, line, sizeof(line)) == 0 && strstr(line, OVERRIDE);
}

void harden(const char *root, const struct config *config, enum hardening_when when)
{
	char missing[EVENT_TEXT_MAX - 64] = "";

	for (const struct hardening *row = hardening_table; row->name; row++)
		if (row->when == when && !hardening_kept(config, row->name) && close_row(root, row) == -ENOENT &&
		    row->lost)
			lacks(missing, sizeof(missing), row->name, row->lost);
	if (when == HARDENING_FIRST && !hardening_kept(config, HARDENING_PROC_MEM) && !override_is_off(root))
		lacks(missing, sizeof(missing), HARDENING_PROC_MEM,
		      "a process writes to its read-only memory; the command line lacks " OVERRIDE);
	if (missing[0])
		event_say(EVENT_WARNING, "gantry", "hardening that this kernel does not have: %s", missing);
}
