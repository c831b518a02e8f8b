/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs are started without a shell, with a fixed environment, and die with the stage: a mke2fs that outlives a
 * killed stage would still be writing when the next attempt opens the disk. Nothing is written lazily by them that the
 * kernel could not do later: inode tables and journal are left to be zeroed in the background.
 */
#define _GNU_SOURCE
#include "ext4.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "fsprogram.h"
#include "superblock.h"
#include "stages/lib/file.h"
#include "stages/lib/report.h"

#define EXT4_BLOCK   4096
#define PATIENCE_OPTIONS "nodiscard,lazy_itable_init=1,lazy_journal_init=1"

#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)	/* include/uapi/linux/ext4.h of the kernel */

/* e2fsck(8), EXIT CODE: bits. */
#define E2FSCK_CORRECTED   1
#define E2FSCK_REBOOT      2
#define E2FSCK_UNCORRECTED 4

static int explain(const char *program, int status, const char *last, char *why)
{
	if (status == -EAGAIN || status == -ENOEXEC)
		snprintf(why, EXT4_WHY_MAX, "%s: %.130s", program, last);
	else if (status < 0)
		snprintf(why, EXT4_WHY_MAX, "%s: %s", program, strerror(-status));
	else
		snprintf(why, EXT4_WHY_MAX, "%s exited with status %d: %.110s", program, status,
			 last[0] ? last : "no output");
	return status < 0 ? status : -EIO;
}

int ext4_make(const char *device, uint64_t size, const char *label, char why[EXT4_WHY_MAX])
{
	struct fsprogram_output output;
	char blocks[24];
	const char *const words[] = {
		"/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1", "-L", label, "-E", PATIENCE_OPTIONS,
		NULL, blocks,
	};
	int r;

	snprintf(blocks, sizeof(blocks), "%" PRIu64, size / EXT4_BLOCK);
	r = fsprogram_run(words, sizeof(words) / sizeof(*words), device, &output);
	return r == 0 ? 0 : explain("mke2fs", r, output.last, why);
}

static int read_superblock(const char *device, struct superblock *ret, char why[EXT4_WHY_MAX])
{
	_cleanup_(cleanup_close) int fd = open(device, O_RDONLY | O_CLOEXEC);
	uint8_t bytes[SUPERBLOCK_SIZE];
	char trouble[READER_WHY_MAX];
	int r = fd < 0 ? -errno : file_read_at(fd, bytes, sizeof(bytes), SUPERBLOCK_AT);

	if (r < 0) {
		snprintf(why, EXT4_WHY_MAX, "superblock cannot be read: %s", strerror(-r));
		return r;
	}
	r = superblock_ask(bytes, ret, trouble);
	if (r == -EUCLEAN)
		snprintf(why, EXT4_WHY_MAX, "%s", trouble);
	else if (r < 0)
		snprintf(why, EXT4_WHY_MAX, "superblock: %s", trouble);
	return r;
}

bool ext4_is_clean(const char *device)
{
	struct superblock superblock;
	char why[EXT4_WHY_MAX];

	return read_superblock(device, &superblock, why) == 0 && superblock.clean;
}

int ext4_check(const char *device, bool all, char why[EXT4_WHY_MAX])
{
	const char *const words[] = {"/sbin/e2fsck", all ? "-fp" : "-p", NULL};
	struct superblock superblock;
	struct fsprogram_output output;
	int r;

	r = read_superblock(device, &superblock, why);
	if (r < 0)
		return r;
	r = fsprogram_run(words, sizeof(words) / sizeof(*words), device, &output);
	if (r == 0)
		return 0;
	/* "Reboot" is for a mounted root; this one is not mounted, so a repair is complete. */
	if (r > 0 && !(r & ~(E2FSCK_CORRECTED | E2FSCK_REBOOT)))
		return 1;
	/* The last line is a request of e2fsck's, the first one the cause of a failure. */
	explain("e2fsck", r, r >= 0 && r & E2FSCK_UNCORRECTED ? output.last : output.first, why);
	if (r < 0)
		return r;
	return r & E2FSCK_UNCORRECTED ? -EUCLEAN : -EAGAIN;
}

static int make_directories(const char *directory)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s", directory) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (!c)
			return 0;
		*p = c;
	}
}

int ext4_mount(const char *device, const char *directory, const struct ext4_options *options)
{
	char text[96];
	int r = make_directories(directory);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "errors=remount-ro,commit=%u%s", options->commit_s,
		 options->discard ? ",discard" : ",nodiscard");
	if (mount(device, directory, "ext4", MS_NOATIME | MS_NODEV | MS_NOSUID, text) < 0)
		return -errno;
	return 0;
}

int64_t ext4_errors(const char *directory)
{
	char path[64], target[PATH_MAX], count[24];
	const char *name;
	struct stat st;
	ssize_t n;
	int r;

	if (stat(directory, &st) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	name = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	snprintf(path, sizeof(path), "/sys/fs/ext4/%.32s/errors_count", name);
	r = file_read_line(path, count, sizeof(count));
	return r < 0 ? r : strtoll(count, NULL, 10);
}

int ext4_look(const char *directory, char why[EXT4_WHY_MAX])
{
	_cleanup_(cleanup_closedir) DIR *dir = opendir(directory);
	int64_t errors = ext4_errors(directory);
	struct statfs fs;

	if (!dir) {
		snprintf(why, EXT4_WHY_MAX, "its root cannot be read: %s", strerror(errno));
		return -EUCLEAN;
	}
	do
		errno = 0;
	while (readdir(dir));
	if (errno) {
		snprintf(why, EXT4_WHY_MAX, "its root cannot be read: %s", strerror(errno));
		return -EUCLEAN;
	}
	if (fstatfs(dirfd(dir), &fs) < 0 || fs.f_flags & ST_RDONLY) {
		snprintf(why, EXT4_WHY_MAX, "the kernel made it read-only");
		return -EUCLEAN;
	}
	if (errors > 0) {
		snprintf(why, EXT4_WHY_MAX, "the kernel has found %" PRId64 " errors in it", errors);
		return -EUCLEAN;
	}
	return 0;
}

static int mount_and_look(const char *device, const char *directory, const struct ext4_options *options,
			  char why[EXT4_WHY_MAX])
{
	int r = ext4_mount(device, directory, options);

	if (r < 0) {
		snprintf(why, EXT4_WHY_MAX, "mount on %.60s: %s", directory, strerror(-r));
		return r;
	}
	r = ext4_look(directory, why);
	if (r < 0)
		(void)umount2(directory, 0);
	return r;
}

/* 0, or negative errno as ext4_check(). */
static int check(const char *device, bool all, char why[EXT4_WHY_MAX])
{
	int r = ext4_check(device, all, why);

	if (r > 0)
		report_event(EVENT_NOTICE, "e2fsck repaired the file system");
	return r < 0 ? r : 0;
}

/* What mount(2) says of damage. */
static bool may_be_damaged(int error)
{
	return error == -EUCLEAN || error == -EBADMSG || error == -EINVAL;
}

int ext4_bring_up(const char *device, const char *directory, const struct ext4_options *options,
		  char why[EXT4_WHY_MAX])
{
	int r = 0;

	if (!ext4_is_clean(device)) {
		report_event(EVENT_NOTICE, "file system was not unmounted cleanly: running e2fsck");
		r = check(device, false, why);
	}
	if (r == 0)
		r = mount_and_look(device, directory, options, why);
	else
		return r;
	if (!may_be_damaged(r))
		return r;
	report_event(EVENT_WARNING, "file system says it is clean, but %s: running e2fsck on all of it", why);
	r = check(device, true, why);
	return r < 0 ? r : mount_and_look(device, directory, options, why);
}

int ext4_grow(const char *device, const char *directory, uint64_t size)
{
	_cleanup_(cleanup_close) int inside = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct superblock superblock;
	char why[EXT4_WHY_MAX];
	uint64_t wanted;
	int r;

	if (inside < 0)
		return -errno;
	r = read_superblock(device, &superblock, why);
	if (r < 0)
		return r;
	if (size < EXT4_GROW_MIN || size - EXT4_GROW_MIN < superblock.size)
		return 0;
	wanted = size / superblock.block_size;
	return ioctl(inside, EXT4_IOC_RESIZE_FS, &wanted) < 0 ? -errno : 1;
}

bool ext4_is_mounted(const char *device, const char *directory)
{
	char parent[PATH_MAX];
	struct stat node, inside, above;

	snprintf(parent, sizeof(parent), "%s/..", directory);
	return stat(device, &node) == 0 && stat(directory, &inside) == 0 && stat(parent, &above) == 0 &&
	       S_ISBLK(node.st_mode) && inside.st_dev == node.st_rdev && above.st_dev != inside.st_dev;
}
