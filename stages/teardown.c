/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The teardown role, the last process of a shutdown: swap off, file systems unmounted, device-mapper devices closed,
 * so that nothing is lost and no key stays in the kernel. Everybody else is dead by now. What is still busy after a
 * moment is made read-only and detached, and a volume that cannot be closed gets a table of errors in place of its
 * cipher: the key goes with the old table. No step begins after the deadline; reboot(2) is PID 1's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include <libdevmapper.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "lib/backoff.h"
#include "lib/dm.h"
#include "lib/report.h"

#define WHOLE_MS   3000		/* less than PID 1 waits for this role */
#define BUSY_MS    800		/* how long a busy mount or device may take to be let go */
#define AGAIN_MS   50		/* between two tries; there is no notification for "no longer busy" */
#define MOUNTS_MAX 256
#define LINE_SIZE  4352
#define FIRST_PID_NAMESPACE 0xeffffffcu	/* PROC_PID_INIT_INO, include/linux/proc_ns.h of the kernel */

static int64_t deadline_ms;

static bool time_is_left(void)
{
	return time_now_ms() < deadline_ms;
}

/* mountinfo and swaps write space, tab, newline and backslash as octal. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
		    from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/*
 * Swap and device-mapper belong to the machine, not to a namespace. So they are only touched by the PID 1 of the
 * machine and never by one in a container or a test, which would take away the host's.
 */
static bool owns_the_machine(void)
{
	struct stat namespace, ours, first;

	return getppid() == 1 && stat("/proc/self/ns/pid", &namespace) == 0 &&
	       namespace.st_ino == FIRST_PID_NAMESPACE &&
	       stat("/proc/self/exe", &ours) == 0 && stat("/proc/1/exe", &first) == 0 &&
	       ours.st_dev == first.st_dev && ours.st_ino == first.st_ino;
}

static void swap_off(void)
{
	_cleanup_(cleanup_fclose) FILE *file = fopen("/proc/swaps", "re");
	char line[LINE_SIZE];

	if (!file || !fgets(line, sizeof(line), file))
		return;
	while (time_is_left() && fgets(line, sizeof(line), file)) {
		line[strcspn(line, " \t\n")] = '\0';
		unescape(line);
		if (swapoff(line) < 0)
			report_event(EVENT_WARNING, "swap off %s: %s", line, strerror(errno));
		else
			report_event(EVENT_INFO, "swap off %s", line);
	}
}

/* What the kernel serves from memory, and what PID 1 itself still needs. */
static bool may_stay(const char *path)
{
	static const char *const exact[] = {"/", "/run", "/tmp"};
	static const char *const trees[] = {"/proc", "/sys", "/dev"};

	for (size_t i = 0; i < sizeof(exact) / sizeof(*exact); i++)
		if (strcmp(path, exact[i]) == 0)
			return true;
	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		size_t length = strlen(trees[i]);

		if (strncmp(path, trees[i], length) == 0 && (path[length] == '\0' || path[length] == '/'))
			return true;
	}
	return false;
}

/* The mounts to be undone, in the order they were made; each path is the caller's to free. */
static size_t list_mounts(char *paths[MOUNTS_MAX])
{
	_cleanup_(cleanup_fclose) FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[LINE_SIZE], path[LINE_SIZE];
	size_t n = 0;

	while (file && n < MOUNTS_MAX && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*u %*u %*s %*s %4351s", path) != 1)
			continue;
		unescape(path);
		if (may_stay(path))
			continue;
		paths[n] = strdup(path);
		n += paths[n] != NULL;
	}
	return n;
}

/* One pass, last mount first. Returns how many are still there. */
static size_t unmount_pass(int flags)
{
	char *paths[MOUNTS_MAX];
	size_t n = list_mounts(paths), left = n;

	while (n--) {
		if (time_is_left() && umount2(paths[n], flags | UMOUNT_NOFOLLOW) == 0) {
			report_event(flags ? EVENT_WARNING : EVENT_INFO, "%s %s",
				     flags ? "still busy, detached" : "unmounted", paths[n]);
			left--;
		}
		free(paths[n]);
	}
	return left;
}

static void remount_read_only(void)
{
	char *paths[MOUNTS_MAX];
	size_t n = list_mounts(paths);

	while (n--) {
		/* The mount, not the file system: that may be mounted elsewhere too. */
		if (time_is_left() && mount(NULL, paths[n], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0)
			report_event(EVENT_WARNING, "still busy, made read-only: %s", paths[n]);
		free(paths[n]);
	}
}

static void unmount_all(void)
{
	int64_t until = time_now_ms() + BUSY_MS;
	size_t left;

	while ((left = unmount_pass(0)) && time_now_ms() < until && time_is_left())
		time_wait_ms(AGAIN_MS);
	if (!left)
		return;
	remount_read_only();
	sync();
	unmount_pass(MNT_DETACH);
}

/* An open device cannot be removed, but its table can be replaced; the old one, with the key, is then destroyed. */
static bool replace_by_errors(const char *name)
{
	struct dm_task *info = dm_task_create(DM_DEVICE_TABLE), *load = dm_task_create(DM_DEVICE_RELOAD);
	uint64_t start = 0, length = 0, size = 0;
	char *target = NULL, *parameters = NULL;
	void *next = NULL;
	bool done = false;

	if (info && load && dm_task_set_name(info, name) && dm_task_run(info)) {
		do {
			next = dm_get_next_target(info, next, &start, &length, &target, &parameters);
			size = start + length;
		} while (next);
		/* Without flushing: what a dead disk has not taken by now it never will. */
		done = size && dm_task_set_name(load, name) && dm_task_add_target(load, 0, size, "error", "") &&
		       dm_task_no_flush(load) && dm_task_skip_lockfs(load) && dm_task_run(load) &&
		       dm_do(DM_DEVICE_RESUME, name);
	}
	if (info)
		dm_task_destroy(info);
	if (load)
		dm_task_destroy(load);
	return done;
}

static void close_device(const char *name)
{
	int64_t until = time_now_ms() + BUSY_MS;

	while (!dm_do(DM_DEVICE_REMOVE, name)) {
		if (time_now_ms() < until && time_is_left()) {
			time_wait_ms(AGAIN_MS);
			continue;
		}
		if (replace_by_errors(name))
			report_event(EVENT_WARNING, "volume %s is still busy, its key is gone", name);
		else
			report_event(EVENT_ERROR, "volume %s cannot be closed", name);
		return;
	}
	report_event(EVENT_INFO, "closed volume %s", name);
}

/* Newest first: a volume made on top of another comes later in the list. */
static void close_devices(void)
{
	struct dm_task *task;
	struct dm_names *names;
	const char *list[64];
	size_t n = 0;

	if (access("/dev/mapper/control", F_OK) < 0)
		return;
	dm_be_quiet();
	task = dm_task_create(DM_DEVICE_LIST);
	if (task && dm_task_run(task) && (names = dm_task_get_names(task)) && names->dev) {
		for (;;) {
			if (n < sizeof(list) / sizeof(*list))
				list[n++] = names->name;
			if (!names->next)
				break;
			names = (struct dm_names *)((char *)names + names->next);
		}
		while (n--)
			close_device(list[n]);
	}
	if (task)
		dm_task_destroy(task);
}

int teardown_main(int argc, char **argv)
{
	(void)argc, (void)argv;
	deadline_ms = time_now_ms() + WHOLE_MS;
	if (chdir("/") < 0)
		report_event(EVENT_WARNING, "cannot leave the working directory: %s", strerror(errno));
	if (owns_the_machine())
		swap_off();
	unmount_all();
	if (owns_the_machine())
		close_devices();
	sync();
	report_result("file systems unmounted, volumes closed");
	return 0;
}
