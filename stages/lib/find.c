/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCSI disks say their address in the name of the directory that /sys/block/NAME/device points to; NVMe namespaces
 * have a file `nsid`, which Azure sets to LUN + 2 for data disks. Azure's OS and temporary disks are told apart by
 * the VMBus channel they hang on, as Azure's own udev rules do (azure-vm-utils, 80-azure-disk.rules).
 */
#define _GNU_SOURCE
#include "find.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#define NVME_NSID_OF_LUN 2	/* namespace 1 is the OS disk, so LUN 0 is 2 */
#define NVME_TEMPORARY   "Microsoft NVMe Direct Disk"
#define SCSI_TYPE_DISK   0

/* Generation 1 machines: OS and temporary disk have channels of their own. Generation 2: LUN 0 and 1 of this one. */
#define VMBUS_OS        "/00000000-0000-"
#define VMBUS_TEMPORARY "/00000000-0001-"
#define VMBUS_FIRST     "/f8b3781a-1e82-4818-a1c3-63d806ec15bb/"

/* A path that does not fit stays empty, and then there is nothing to read there. */
static void __attribute__((format(printf, 2, 3))) make_path(char path[PATH_MAX], const char *fmt, ...)
{
	va_list arguments;

	va_start(arguments, fmt);
	if (vsnprintf(path, PATH_MAX, fmt, arguments) >= PATH_MAX)
		path[0] = '\0';
	va_end(arguments);
}

/* The first line of a small file, without its end. */
static int read_line(const char *path, char *ret, size_t size)
{
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret, size - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

static int read_number(const char *path, uint64_t *ret)
{
	char line[32], *end;
	int r = read_line(path, line, sizeof(line));

	if (r < 0)
		return r;
	if (!isdigit((unsigned char)line[0]))
		return -EINVAL;
	errno = 0;
	*ret = strtoull(line, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

/* "8:16" in the `dev` file of a disk or partition. */
static int read_device(const char *directory, dev_t *ret)
{
	char path[PATH_MAX], line[32];
	unsigned major, minor;
	int r;

	make_path(path, "%s/dev", directory);
	r = read_line(path, line, sizeof(line));
	if (r < 0)
		return r;
	if (sscanf(line, "%u:%u", &major, &minor) != 2)
		return -EINVAL;
	*ret = makedev(major, minor);
	return 0;
}

static bool has_lun_scsi(const char *block, unsigned lun, const char **ret_passed_over)
{
	char path[PATH_MAX], device[PATH_MAX];
	unsigned host, channel, target, its_lun;
	uint64_t type;
	int end = 0;

	make_path(path, "%s/device", block);
	if (!realpath(path, device) ||
	    sscanf(strrchr(device, '/'), "/%u:%u:%u:%u%n", &host, &channel, &target, &its_lun, &end) != 4 ||
	    strrchr(device, '/')[end] || its_lun != lun)
		return false;
	make_path(path, "%s/device/type", block);
	if (read_number(path, &type) == 0 && type != SCSI_TYPE_DISK)
		return false;
	if (strstr(device, VMBUS_OS) || (strstr(device, VMBUS_FIRST) && lun == 0))
		*ret_passed_over = "the OS disk";
	else if (strstr(device, VMBUS_TEMPORARY) || (strstr(device, VMBUS_FIRST) && lun == 1))
		*ret_passed_over = "the temporary disk";
	return true;
}

static bool has_lun_nvme(const char *block, unsigned lun, const char **ret_passed_over)
{
	char path[PATH_MAX], model[64];
	uint64_t nsid, hidden;

	make_path(path, "%s/nsid", block);
	if (read_number(path, &nsid) < 0 || nsid != (uint64_t)lun + NVME_NSID_OF_LUN)
		return false;
	/* One path of a namespace with several: the namespace itself is there too. */
	make_path(path, "%s/hidden", block);
	if (read_number(path, &hidden) == 0 && hidden)
		return false;
	make_path(path, "%s/device/model", block);
	if (read_line(path, model, sizeof(model)) == 0 && strncmp(model, NVME_TEMPORARY, strlen(NVME_TEMPORARY)) == 0)
		*ret_passed_over = "a temporary disk";
	return true;
}

static bool is_mounted(const struct find_roots *roots, dev_t number)
{
	_cleanup_(cleanup_fclose) FILE *file = NULL;
	char path[PATH_MAX], line[4096];

	make_path(path, "%s/self/mountinfo", roots->proc);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		unsigned major, minor;

		if (sscanf(line, "%*u %*u %u:%u", &major, &minor) == 2 && makedev(major, minor) == number)
			return true;
	}
	return false;
}

static bool is_swap(const struct find_roots *roots, const char *name)
{
	_cleanup_(cleanup_fclose) FILE *file = NULL;
	char path[PATH_MAX], line[4096], device[DISK_NAME_MAX + 8];

	snprintf(device, sizeof(device), "/dev/%.31s", name);
	make_path(path, "%s/swaps", roots->proc);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, device, strlen(device)) == 0 && isspace((unsigned char)line[strlen(device)]))
			return true;
	return false;
}

static bool is_held(const char *directory)
{
	_cleanup_(cleanup_closedir) DIR *dir = NULL;
	char path[PATH_MAX];
	struct dirent *entry;

	make_path(path, "%s/holders", directory);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			return true;
	return false;
}

/* Why a disk or one of its partitions may not be touched; NULL: nothing against it. */
static const char *use_of(const struct find_roots *roots, const char *directory, const char *name)
{
	dev_t number;

	if (read_device(directory, &number) < 0)
		return "without a device number";
	if (is_mounted(roots, number))
		return "mounted";
	if (is_swap(roots, name))
		return "swapped on";
	if (is_held(directory))
		return "held by another device";
	return NULL;
}

static const char *use_of_disk(const struct find_roots *roots, const char *block, const char *name)
{
	_cleanup_(cleanup_closedir) DIR *dir = NULL;
	const char *use = use_of(roots, block, name);
	struct dirent *entry;

	if (use)
		return use;
	dir = opendir(block);
	while (dir && (entry = readdir(dir))) {
		char path[PATH_MAX];

		make_path(path, "%s/%s/partition", block, entry->d_name);
		if (entry->d_name[0] == '.' || access(path, F_OK) < 0)
			continue;
		make_path(path, "%s/%s", block, entry->d_name);
		use = use_of(roots, path, entry->d_name);
		if (use)
			return use;
	}
	return NULL;
}

/* 1: *ret; 0: not this one, and if it has the right LUN why says what speaks against it. */
static int consider(const struct find_roots *roots, const char *name, unsigned lun, struct disk *ret, char *why)
{
	const char *against = NULL;
	struct disk disk = {0};
	char block[PATH_MAX], path[PATH_MAX];
	uint64_t sectors;

	if (strlen(name) >= sizeof(disk.name))
		return 0;
	make_path(block, "%s/block/%s", roots->sys, name);
	if (!has_lun_scsi(block, lun, &against) && !has_lun_nvme(block, lun, &against))
		return 0;
	if (!against)
		against = use_of_disk(roots, block, name);
	make_path(path, "%s/size", block);
	if (!against && (read_number(path, &sectors) < 0 || sectors == 0))
		against = "without a size yet";
	if (against || read_device(block, &disk.number) < 0) {
		snprintf(why, FIND_WHY_MAX, "%.31s is %s", name, against ? against : "going away");
		return 0;
	}
	snprintf(disk.name, sizeof(disk.name), "%.31s", name);
	snprintf(disk.path, sizeof(disk.path), "/dev/%.31s", name);
	disk.size = sectors * 512;
	*ret = disk;
	return 1;
}

int find_disk(const struct find_roots *roots, unsigned lun, struct disk *ret, char why[FIND_WHY_MAX])
{
	_cleanup_(cleanup_closedir) DIR *dir = NULL;
	char path[PATH_MAX];
	struct dirent *entry;
	struct disk found;
	int count = 0;

	why[0] = '\0';
	make_path(path, "%s/block", roots->sys);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct disk disk;

		if (entry->d_name[0] == '.' || !consider(roots, entry->d_name, lun, &disk, why))
			continue;
		if (count++) {
			snprintf(why, FIND_WHY_MAX, "%s and %s both have it", found.name, disk.name);
			return -EEXIST;
		}
		found = disk;
	}
	if (count)
		*ret = found;
	return count;
}
