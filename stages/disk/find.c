/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCSI disks say their address in the name of the directory that /sys/block/NAME/device points to; NVMe namespaces have
 * a file `nsid`. The host chooses serial and WWID: they name a disk, they prove nothing. Which disks a cloud keeps for
 * itself, and how it numbers the others, is in its row (stages/cloud).
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

#include "stages/cloud/cloud.h"
#include "stages/lib/file.h"
#include "stages/lib/printable.h"

#define SCSI_TYPE_DISK 0

/* A path that does not fit stays empty, and then there is nothing to read there. */
static void __attribute__((format(printf, 2, 3))) make_path(char path[PATH_MAX], const char *fmt, ...)
{
	va_list arguments;

	va_start(arguments, fmt);
	if (vsnprintf(path, PATH_MAX, fmt, arguments) >= PATH_MAX)
		path[0] = '\0';
	va_end(arguments);
}

static int read_number(const char *path, uint64_t *ret)
{
	char line[32], *end;
	int r = file_read_line(path, line, sizeof(line));

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
	r = file_read_line(path, line, sizeof(line));
	if (r < 0)
		return r;
	if (sscanf(line, "%u:%u", &major, &minor) != 2)
		return -EINVAL;
	*ret = makedev(major, minor);
	return 0;
}

/* The kernel's description of a disk: its address, and its role on the platform. */
struct seen {
	bool is_scsi, is_nvme;
	unsigned lun;
	uint64_t nsid;
};

/* Serial, WWID and model are trimmed; non-text bytes are replaced. */
static void tidy(char *text)
{
	size_t n = strlen(text), skip = strspn(text, " ");

	while (n > skip && text[n - 1] == ' ')
		n--;
	memmove(text, text + skip, n - skip);
	text[n - skip] = '\0';
	printable_copy(text, text, n - skip + 1);
}

/* SCSI's unit serial number page: four bytes, then the number. SPC-6, section 7.7.19. */
static void read_scsi_serial(const char *block, char ret[DISK_ID_MAX])
{
	char path[PATH_MAX], page[DISK_ID_MAX + 4];
	_cleanup_(cleanup_close) int fd = -1;
	ssize_t n;

	make_path(path, "%s/device/vpd_pg80", block);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, page, sizeof(page) - 1);
	if (n <= 4)
		return;
	page[n] = '\0';
	snprintf(ret, DISK_ID_MAX, "%s", page + 4);
	tidy(ret);
}

static void read_identity(const char *block, struct disk *disk)
{
	static const char *const serials[] = {"device/serial", "serial"}, *const wwids[] = {"device/wwid", "wwid"};
	char path[PATH_MAX];

	read_scsi_serial(block, disk->serial);
	for (size_t i = 0; i < 2; i++) {
		make_path(path, "%s/%s", block, serials[i]);
		if (!disk->serial[0] && file_read_line(path, disk->serial, sizeof(disk->serial)) < 0)
			disk->serial[0] = '\0';
		make_path(path, "%s/%s", block, wwids[i]);
		if (!disk->wwid[0] && file_read_line(path, disk->wwid, sizeof(disk->wwid)) < 0)
			disk->wwid[0] = '\0';
	}
	make_path(path, "%s/device/model", block);
	if (file_read_line(path, disk->model, sizeof(disk->model)) < 0)
		disk->model[0] = '\0';
	tidy(disk->serial);
	tidy(disk->wwid);
	tidy(disk->model);
}

static bool see_scsi(const char *block, struct seen *ret)
{
	char path[PATH_MAX], device[PATH_MAX];
	unsigned host, channel, target;
	const char *name;
	uint64_t type;
	ssize_t n;
	int end = 0;

	make_path(path, "%s/device", block);
	n = readlink(path, device, sizeof(device) - 1);
	if (n < 0)
		return false;
	device[n] = '\0';
	name = strrchr(device, '/') ? strrchr(device, '/') + 1 : device;
	if (sscanf(name, "%u:%u:%u:%u%n", &host, &channel, &target, &ret->lun, &end) != 4 || name[end])
		return false;
	make_path(path, "%s/device/type", block);
	return read_number(path, &type) < 0 || type == SCSI_TYPE_DISK;
}

static bool see_nvme(const char *block, struct seen *ret)
{
	char path[PATH_MAX];
	uint64_t hidden;

	make_path(path, "%s/nsid", block);
	if (read_number(path, &ret->nsid) < 0)
		return false;
	/* One path of a namespace with several: the namespace itself is there too. */
	make_path(path, "%s/hidden", block);
	return read_number(path, &hidden) < 0 || !hidden;
}

/* What a cloud keeps the disk for; NULL: for nothing. */
static const char *use_of_cloud(const char *block, const struct seen *seen)
{
	char path[PATH_MAX], device[PATH_MAX], model[64];
	const char *use = NULL;

	make_path(path, "%s/device", block);
	if (seen->is_scsi && realpath(path, device))
		for (size_t i = 0; clouds[i] && !use; i++)
			if (clouds[i]->scsi_use)
				use = clouds[i]->scsi_use(device, seen->lun);
	make_path(path, "%s/device/model", block);
	if (seen->is_nvme && file_read_line(path, model, sizeof(model)) >= 0)
		for (size_t i = 0; clouds[i] && !use; i++)
			if (clouds[i]->nvme_use)
				use = clouds[i]->nvme_use(model);
	return use;
}

/* Anything else with a device behind it, such as a virtio disk; not the kernel's own: loop, ram, dm. */
static bool see_other(const char *block)
{
	static const char *const others[] = {"device/type", "nsid"};
	char path[PATH_MAX];
	uint64_t removable;

	make_path(path, "%s/device", block);
	if (access(path, F_OK) < 0)
		return false;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		make_path(path, "%s/%s", block, others[i]);
		if (access(path, F_OK) == 0)
			return false;
	}
	make_path(path, "%s/removable", block);
	return read_number(path, &removable) < 0 || !removable;
}

static bool is_nsid_of_lun(uint64_t nsid, unsigned lun)
{
	for (size_t i = 0; clouds[i]; i++)
		if (clouds[i]->nsid_of_lun_0 && nsid == (uint64_t)clouds[i]->nsid_of_lun_0 + lun)
			return true;
	return false;
}

static bool is_by_address(const struct find_rule *rule)
{
	return rule->by == FIND_LUN || rule->by == FIND_NSID;
}

static bool address_fits(const struct find_rule *rule, const struct seen *seen)
{
	if (rule->by == FIND_LUN && seen->is_scsi)
		return seen->lun == rule->number;
	return seen->is_nvme && (rule->by == FIND_NSID ? seen->nsid == rule->number :
							 is_nsid_of_lun(seen->nsid, rule->number));
}

static bool identity_fits(const struct find_rule *rule, const struct disk *disk)
{
	switch (rule->by) {
	case FIND_SERIAL:
		return strcmp(disk->serial, rule->text) == 0;
	case FIND_WWID:
		return strcmp(disk->wwid, rule->text) == 0;
	case FIND_LARGEST:
		return true;
	case FIND_LUN:
	case FIND_NSID:
	case FIND_BY_MAX:
		break;
	}
	return false;
}

const char *find_text(const struct find_rule *rule, char text[FIND_WHY_MAX])
{
	static const char *const words[] = {
		[FIND_LUN] = "lun", [FIND_NSID] = "nsid", [FIND_SERIAL] = "serial", [FIND_WWID] = "wwid",
	};

	if (rule->by == FIND_LARGEST)
		snprintf(text, FIND_WHY_MAX, "the largest");
	else if (rule->text)
		snprintf(text, FIND_WHY_MAX, "%s %.100s", words[rule->by], rule->text);
	else
		snprintf(text, FIND_WHY_MAX, "%s %u", words[rule->by], rule->number);
	return text;
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
		return "in use as swap";
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

int find_describe(const struct find_roots *roots, const char *name, struct disk *ret)
{
	char block[PATH_MAX], path[PATH_MAX];
	struct disk disk = {0};
	uint64_t sectors;

	if (strlen(name) >= sizeof(disk.name))
		return -ENODEV;
	make_path(block, "%s/block/%s", roots->sys, name);
	make_path(path, "%s/size", block);
	if (read_number(path, &sectors) < 0 || read_device(block, &disk.number) < 0)
		return -ENODEV;
	snprintf(disk.name, sizeof(disk.name), "%.31s", name);
	snprintf(disk.path, sizeof(disk.path), "/dev/%.31s", name);
	disk.size = sectors * 512;
	read_identity(block, &disk);
	*ret = disk;
	return 0;
}

/* 1: *ret; 0: not this one, with the reason in why if the rule matches. */
static int consider(const struct find_roots *roots, const char *name, const struct find_rule *rule,
		    const char *(*refuse)(const struct disk *disk), struct disk *ret, char *why)
{
	const char *against;
	struct disk disk;
	struct seen seen = {0};
	char block[PATH_MAX];

	make_path(block, "%s/block/%s", roots->sys, name);
	seen.is_scsi = see_scsi(block, &seen);
	seen.is_nvme = !seen.is_scsi && see_nvme(block, &seen);
	if (is_by_address(rule) ? !address_fits(rule, &seen) : !seen.is_scsi && !seen.is_nvme && !see_other(block))
		return 0;
	if (find_describe(roots, name, &disk) < 0 || (!is_by_address(rule) && !identity_fits(rule, &disk)))
		return 0;
	against = use_of_cloud(block, &seen);
	if (!against)
		against = use_of_disk(roots, block, name);
	if (!against && disk.size == 0)
		against = "without a size yet";
	if (!against && refuse)
		against = refuse(&disk);
	if (against) {
		snprintf(why, FIND_WHY_MAX, "%.31s is %s", name, against);
		return 0;
	}
	*ret = disk;
	return 1;
}

int find_disk(const struct find_roots *roots, const struct find_rule *rule,
	      const char *(*refuse)(const struct disk *disk), struct disk *ret, char why[FIND_WHY_MAX])
{
	_cleanup_(cleanup_closedir) DIR *dir = NULL;
	char path[PATH_MAX], other[DISK_NAME_MAX] = "";
	struct dirent *entry;
	struct disk found = {0};
	bool any = false;

	why[0] = '\0';
	make_path(path, "%s/block", roots->sys);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct disk disk;

		if (entry->d_name[0] == '.' || !consider(roots, entry->d_name, rule, refuse, &disk, why))
			continue;
		if (any && (rule->by != FIND_LARGEST || disk.size == found.size)) {
			memcpy(other, disk.name, sizeof(other));
		} else if (!any || disk.size > found.size) {
			found = disk;
			other[0] = '\0';
		}
		any = true;
	}
	if (other[0]) {
		snprintf(why, FIND_WHY_MAX, "%s and %s both match", found.name, other);
		return -EEXIST;
	}
	if (any)
		*ret = found;
	return any;
}
