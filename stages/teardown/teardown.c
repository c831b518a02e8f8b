/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The teardown role, the last process of a shutdown: swap off, file systems unmounted, device-mapper devices closed, so
 * that nothing is lost and no key stays in the kernel. No other process is left. Each call that a broken device could
 * hold for ever is made by a child (within.h): one that hangs blocks only itself and its dependants. Mounts that stay
 * busy are made read-only or frozen, so that they are clean, and detached. reboot(2) is PID 1's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "confine.h"
#include "mounts.h"
#include "stages/lib/backoff.h"
#include "stages/lib/report.h"
#include "volumes.h"
#include "within.h"

#define WHOLE_MS   3000		/* when PID 1 says nothing else */
#define SLOW_MS    1000		/* an unmount that takes longer goes on beside the others */
#define CALL_MS    1000		/* of the last resorts, each */
#define JOBS_MAX   64
#define LINE_SIZE  4352
#define FIRST_PID_NAMESPACE 0xeffffffcu	/* PROC_PID_INIT_INO, include/linux/proc_ns.h of the kernel */

static bool machine;		/* PID 1 is the machine's own */

/* Unmounts that have begun and not ended: of much data that is still to be written, or of a device that hangs. */
static struct job {
	struct within child;
	char *path;
} jobs[JOBS_MAX];
static size_t n_jobs;

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

static int call_swapoff(const void *path)
{
	return swapoff(path) < 0 ? -errno : 0;
}

static void swap_off(void)
{
	_cleanup_(cleanup_fclose) FILE *file = fopen("/proc/swaps", "re");
	char line[LINE_SIZE];

	if (!file || !fgets(line, sizeof(line), file))
		return;
	while (fgets(line, sizeof(line), file)) {
		int r;

		line[strcspn(line, " \t\n")] = '\0';
		mounts_unescape(line);
		r = within(call_swapoff, line, (int)within_left_ms() / 2);
		if (r < 0)
			report_event(EVENT_WARNING, "switching off swap %s failed: %s", line, strerror(-r));
		else
			report_event(EVENT_INFO, "swap off %s", line);
	}
}

/* Mounts that stay: those in memory, and those that PID 1 itself still needs. */
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

/* ---- unmounting ----------------------------------------------------------------------------------------------- */

/* A file system that is still frozen would be unmounted, but not closed. */
static void thaw(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0) {
		ioctl(fd, FITHAW, 0);
		close(fd);
	}
}

static int call_umount(const void *argument)
{
	const struct mount *mount = argument;

	if (machine && !mount->fuse)
		thaw(mount->path);
	/* Its server is dead; with this, processes that still wait for an answer get an error. */
	return umount2(mount->path, UMOUNT_NOFOLLOW | (mount->fuse ? MNT_FORCE : 0)) < 0 ? -errno : 0;
}

static int call_detach(const void *argument)
{
	const struct mount *mount = argument;

	return umount2(mount->path, UMOUNT_NOFOLLOW | MNT_DETACH | (mount->fuse ? MNT_FORCE : 0)) < 0 ? -errno : 0;
}

static bool in_hand(const char *path)
{
	for (size_t i = 0; i < n_jobs; i++)
		if (!strcmp(jobs[i].path, path))
			return true;
	return false;
}

static void say_unmounted(const char *path, int r)
{
	if (r == 0)
		report_event(EVENT_INFO, "unmounted %s", path);
}

/* 0, -EBUSY and the like; -ETIMEDOUT: it goes on as a job. */
static int unmount(const struct mount *mount)
{
	struct job *job = &jobs[n_jobs];
	int r;

	if (n_jobs == JOBS_MAX)
		return -EBUSY;
	r = within_start(&job->child, call_umount, mount);
	if (r < 0)
		return r;
	r = within_wait(&job->child, SLOW_MS);
	if (r != -ETIMEDOUT) {
		say_unmounted(mount->path, r);
		return r;
	}
	job->path = strdup(mount->path);
	if (!job->path) {
		within_leave(&job->child);
		return -ENOMEM;
	}
	n_jobs++;
	report_event(EVENT_INFO, "unmounting %s is slow, going on with the others", mount->path);
	return r;
}

/* Looks at the jobs for at most wait_ms; those that have ended are forgotten. */
static void wait_for_jobs(int wait_ms)
{
	for (size_t i = 0; i < n_jobs;) {
		int r = within_wait(&jobs[i].child, i == 0 ? wait_ms : 0);

		if (r == -ETIMEDOUT) {
			i++;
			continue;
		}
		say_unmounted(jobs[i].path, r);
		free(jobs[i].path);
		jobs[i] = jobs[--n_jobs];
	}
	if (!n_jobs)
		time_wait_ms(WITHIN_AGAIN_MS);
}

/* Calls each for every mount to unmount that no job has, last mount first. Returns how many calls failed. */
static size_t for_each_mount(int (*each)(const struct mount *mount))
{
	struct mounts mounts;
	size_t left = 0;

	mounts_read(&mounts);
	for (size_t i = mounts.n; i--;) {
		const struct mount *mount = &mounts.list[i];

		if (!may_stay(mount->path) && !in_hand(mount->path)) {
			int r = within_left_ms() > 0 ? each(mount) : -ETIME;

			left += r != 0 && r != -ETIMEDOUT;
		}
	}
	mounts_free(&mounts);
	return left;
}

/*
 * Of a mount that stays busy, what is in memory goes to the disk and nothing follows. Where PID 1 is not the machine's
 * own, the file system may be mounted elsewhere, too: then only the mount is changed. -EALREADY: frozen.
 */
static int call_keep_clean(const void *path)
{
	int fd, r;

	if (!machine)
		return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0 ? -errno : 0;
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = ioctl(fd, FIFREEZE, 0) < 0 ? -errno : -EALREADY;
	close(fd);
	return r;
}

static int settle(const struct mount *mount)
{
	int r = mount->fuse ? -EOPNOTSUPP : within(call_keep_clean, mount->path, CALL_MS);
	int detached = within(call_detach, mount, CALL_MS);

	report_event(r == 0 || r == -EALREADY ? EVENT_WARNING : EVENT_ERROR, "%s is still busy: %s%s",
		     mount->path, r == 0 ? "made read-only" : r == -EALREADY ? "frozen" : "left as it is",
		     detached == 0 ? ", detached" : "");
	return detached;
}

static bool unmount_all(void)
{
	int64_t until = time_now_ms() + WITHIN_BUSY_MS;
	int64_t reserve_ms = within_left_ms() / 4;	/* for the steps after it */
	bool settled = false, clean = true;

	for (;;) {
		size_t busy = for_each_mount(unmount);

		if (!busy && !n_jobs)
			return clean;
		if (busy && !settled && time_now_ms() >= until) {
			clean = false;
			settled = true;
			for_each_mount(settle);
			continue;
		}
		if (within_left_ms() < reserve_ms || (settled && !n_jobs))
			break;
		wait_for_jobs(WITHIN_AGAIN_MS);
	}
	for (size_t i = 0; i < n_jobs; i++)
		report_event(EVENT_ERROR, "unmounting %s timed out: left behind", jobs[i].path);
	return false;
}

/* ---- the rest ------------------------------------------------------------------------------------------------- */

static int call_sync(const void *unused)
{
	(void)unused;
	sync();
	return 0;
}

/*
 * The kernel's own work queue writes out what it can and makes every file system read-only, even with open files.
 * /proc/sysrq-trigger knows no namespaces: the machine's own PID 1 only.
 */
static void emergency(void)
{
	static const char *const keys[] = {"s", "u"};

	for (size_t i = 0; machine && i < sizeof(keys) / sizeof(*keys); i++) {
		_cleanup_(cleanup_close) int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, keys[i], 1) != 1)
			report_event(EVENT_ERROR, "emergency %s: %s", i ? "remount" : "sync", strerror(errno));
	}
	within(call_sync, NULL, CALL_MS / 2);
}

int teardown_main(int argc, char **argv)
{
	const char *word = argc > 2 ? argv[2] : "";
	int64_t whole_ms = atoll(word);
	bool clean;
	int r;

	machine = owns_the_machine();
	if (chdir("/") < 0)
		report_event(EVENT_WARNING, "cannot leave the working directory: %s", strerror(errno));
	r = teardown_confine();
	if (r < 0)
		report_event(EVENT_ERROR, "the teardown cannot give up its rights, so nothing is unmounted: %s",
			     strerror(-r));
	within_begin(whole_ms > 0 ? whole_ms : WHOLE_MS);
	if (r < 0 || !strcmp(word, "emergency")) {
		emergency();
		return 0;
	}
	if (machine) {
		volumes_resume();
		swap_off();
	}
	clean = unmount_all();
	if (machine)
		clean &= volumes_close();
	if (clean)
		within(call_sync, NULL, CALL_MS);
	else
		emergency();
	report_result(clean ? "file systems unmounted, volumes closed" :
			      "some file systems or volumes could not be unmounted or closed");
	return 0;
}
