/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements links.h. Attributes in sysfs, which is memory of the kernel, say what a device is; no device is opened.
 * The rules are those of systemd's 50-udev-default.rules (ptp) and of azure-vm-utils' 80-azure-disk.rules.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/event/event.h"
#include "init/lib/loop.h"
#include "links.h"

#define NAME_SIZE 96

/* The VMBus controllers of an Azure machine, by the instance that the host gives them: part of a SCSI disk's path. */
#define CONTROLLER_OS   "/f8b3781a-1e82-4818-a1c3-63d806ec15bb/"
#define CONTROLLER_DATA "/f8b3781b-1e82-4818-a1c3-63d806ec15bb/"

static struct loop_source folder = LOOP_SOURCE_INIT;

/* An attribute without its last newline and spaces; "" if there is none. */
static void attribute(const char *sys, const char *name, const char *file, char *ret, size_t size)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/class/%s/%s/%s", sys, !strncmp(name, "ptp", 3) ? "ptp" : "block", name, file);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	n = fd < 0 ? 0 : read(fd, ret, size - 1);
	if (fd >= 0)
		close(fd);
	while (n > 0 && isspace((unsigned char)ret[n - 1]))
		n--;
	ret[n > 0 ? n : 0] = '\0';
}

static bool has(const char *sys, const char *name, const char *file, const char *value)
{
	char text[NAME_SIZE];

	attribute(sys, name, file, text, sizeof(text));
	return !strcmp(text, value);
}

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *clock_name, *link;
} clocks[] = {
	{"hyperv", "ptp_hyperv"},
	{"KVM virtual PTP", "ptp_kvm"},
};

static int find_clock(const char *sys, const char *name, char *ret, size_t size)
{
	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++)
		if (has(sys, name, "clock_name", clocks[i].clock_name))
			return snprintf(ret, size, "%s", clocks[i].link);
	return 0;
}

/* ---- disks ------------------------------------------------------------------------------------------------------- */

/* "3:0:0:10", the last part of the SCSI device's path. -1: it is none. */
static int lun_of(const char *path)
{
	const char *block = strstr(path, "/block/"), *lun = block;
	char *end;
	long n;

	while (lun && lun > path && lun[-1] != ':' && lun[-1] != '/')
		lun--;
	if (!lun || lun == path || lun[-1] != ':')
		return -1;
	n = strtol(lun, &end, 10);
	return end == block && n >= 0 && n <= INT_MAX ? (int)n : -1;
}

static int find_scsi(const char *sys, const char *disk, const char *path, char *ret, size_t size)
{
	int lun = lun_of(path);

	if (lun < 0 || !has(sys, disk, "device/vendor", "Msft") || !has(sys, disk, "device/model", "Virtual Disk"))
		return 0;
	if (strstr(path, CONTROLLER_DATA))
		return snprintf(ret, size, "disk/azure/data/by-lun/%d", lun);
	if (strstr(path, CONTROLLER_OS) && lun <= 1)
		return snprintf(ret, size, "disk/azure/%s", lun ? "resource" : "os");
	return 0;
}

/* A remote disk; its namespaces are the system's disk and then the data disks, from LUN 0 on. */
static int find_nvme(const char *sys, const char *disk, char *ret, size_t size)
{
	char text[NAME_SIZE];
	long nsid;

	if (!has(sys, disk, "device/model", "MSFT NVMe Accelerator v1.0"))
		return 0;
	attribute(sys, disk, "nsid", text, sizeof(text));
	nsid = strtol(text, NULL, 10);
	if (nsid < 1)
		return 0;
	return nsid == 1 ? snprintf(ret, size, "disk/azure/os") :
			   snprintf(ret, size, "disk/azure/data/by-lun/%ld", nsid - 2);
}

/* The disk that the name is a partition of, its number in *ret_part; the name itself and 0. */
static void split(const char *sys, const char *name, char *disk, size_t size, int *ret_part)
{
	char text[NAME_SIZE];
	size_t n = strlen(name);

	attribute(sys, name, "partition", text, sizeof(text));
	*ret_part = atoi(text);
	if (*ret_part > 0) {
		while (n > 0 && isdigit((unsigned char)name[n - 1]))
			n--;
		if (n > 1 && name[n - 1] == 'p' && isdigit((unsigned char)name[n - 2]))
			n--;
	}
	snprintf(disk, size, "%.*s", (int)n, name);
}

static int find_disk(const char *sys, const char *name, char *ret, size_t size)
{
	char disk[NAME_SIZE], link[PATH_MAX], path[PATH_MAX];
	ssize_t n;
	int part, used;

	split(sys, name, disk, sizeof(disk), &part);
	snprintf(link, sizeof(link), "%s/class/block/%s", sys, disk);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return 0;
	path[n] = '\0';
	used = !strncmp(name, "nvme", 4) ? find_nvme(sys, disk, ret, size) : find_scsi(sys, disk, path, ret, size);
	if (used > 0 && part > 0)
		used += snprintf(ret + used, size - (size_t)used, "-part%d", part);
	return used;
}

int links_find(const char *sys, const char *name, char *ret, int size)
{
	size_t room = (size_t)size;

	if (strlen(name) >= NAME_SIZE)
		return 0;
	if (!strncmp(name, "ptp", 3))
		return find_clock(sys, name, ret, room);
	return !strncmp(name, "sd", 2) || !strncmp(name, "nvme", 4) ? find_disk(sys, name, ret, room) : 0;
}

/* ---- the links --------------------------------------------------------------------------------------------------- */

/* Makes the folders of the path. */
static void make_folders(const char *dev, const char *link)
{
	char path[PATH_MAX];

	for (const char *slash = strchr(link, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(path, sizeof(path), "%s/%.*s", dev, (int)(slash - link), link);
		mkdir(path, 0755);
	}
}

/* Whether it is a link to the device, or to none that is there any more. */
static bool is_ours(const char *path, const char *target)
{
	char text[PATH_MAX];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 && (!strcmp(text, target) || access(path, F_OK) < 0);
}

/* Relative, as udev's: "../../sda" for as many folders as the link has. */
static void make_target(const char *link, const char *name, char *ret, size_t size)
{
	size_t n = 0;

	ret[0] = '\0';
	for (const char *slash = strchr(link, '/'); slash; slash = strchr(slash + 1, '/'))
		n += (size_t)snprintf(ret + n, size - n, "../");
	snprintf(ret + n, size - n, "%s", name);
}

void links_make(const char *sys, const char *dev, const char *name)
{
	char link[NAME_SIZE], path[PATH_MAX], target[PATH_MAX];

	if (links_find(sys, name, link, sizeof(link)) <= 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", dev, link);
	make_target(link, name, target, sizeof(target));
	make_folders(dev, link);
	if (is_ours(path, target))
		unlink(path);
	if (symlink(target, path) < 0 && errno != EEXIST)
		event_say(EVENT_WARNING, "gantry", "cannot make %s for %s: %s", path, name, strerror(errno));
}

static void remove_from(const char *dev, const char *sub, const char *name)
{
	char path[PATH_MAX], target[PATH_MAX];
	const struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", dev, sub);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char link[PATH_MAX];

		if (entry->d_type != DT_LNK)
			continue;
		snprintf(link, sizeof(link), "%s%s%.255s", sub, *sub ? "/" : "", entry->d_name);
		snprintf(path, sizeof(path), "%s/%.1024s", dev, link);
		make_target(link, name, target, sizeof(target));
		if (is_ours(path, target))
			unlink(path);
	}
	if (dir)
		closedir(dir);
}

void links_remove(const char *dev, const char *name)
{
	if (!strncmp(name, "ptp", 3))
		remove_from(dev, "", name);
	if (strncmp(name, "sd", 2) && strncmp(name, "nvme", 4))
		return;
	remove_from(dev, "disk/azure", name);
	remove_from(dev, "disk/azure/data/by-lun", name);
}

static void changed(struct loop_source *source, uint32_t events)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(source->fd, buffer, sizeof(buffer));

	(void)events;
	for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

		if (event->len && event->mask & IN_DELETE)
			links_remove("/dev", event->name);
		else if (event->len)
			links_make("/sys", "/dev", event->name);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
}

int links_init(void)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), r;
	const struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, "/dev", IN_CREATE | IN_DELETE | IN_MOVED_TO) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	folder.ready = changed;
	r = loop_take(&folder, fd, EPOLLIN);
	dir = opendir("/dev");		/* after the watch: nothing is missed in between */
	while (dir && (entry = readdir(dir)))
		links_make("/sys", "/dev", entry->d_name);
	if (dir)
		closedir(dir);
	return r;
}
