/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements volume.h. ext4 tells by fanotify(7) that it found an error, after which it is read-only; /proc/mounts goes
 * on to say rw (Linux 6.12). The removal of a disk is a uevent, of which only the moment is used: each disk is looked
 * for in sysfs then. Nothing of this waits for a disk.
 */
#include "volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/fanotify.h>
#include <linux/netlink.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "init/event/event.h"
#include "init/lib/loop.h"
#include "init/lib/words.h"

#define DISKS_MAX        8	/* below one volume */
#define UEVENTS_IN_A_TURN 64
#define KERNEL_GROUP     1

struct volume {
	struct loop_source errors;	/* first, so that it is the volume's address */
	size_t node;
	const char *mount;
	struct {
		char name[32], path[48];	/* "sda", "/sys/dev/block/8:0" */
	} disks[DISKS_MAX];
	size_t n_disks;
};

static struct plan *plan;
static struct volume *volumes;
static size_t n_volumes;
static struct loop_source uevents = LOOP_SOURCE_INIT;

int volume_init(const struct config *config, struct plan *with)
{
	plan = with;
	volumes = calloc(config->n_mounts ? config->n_mounts : 1, sizeof(*volumes));
	if (!volumes)
		return -ENOMEM;
	/* The mount points are in the order of the stages that have one. */
	for (size_t i = 0; i < config->n_nodes; i++) {
		const struct stage *stage = config->nodes[i].stage;

		for (const struct stage_option *o = stage ? stage->options : NULL; o && o->name; o++)
			if (o->names == OPTION_NAMES_MOUNT && n_volumes < config->n_mounts) {
				volumes[n_volumes] = (struct volume){.errors = LOOP_SOURCE_INIT, .node = i,
								     .mount = config->mounts[n_volumes]};
				n_volumes++;
			}
	}
	return 0;
}

static void forget(struct volume *volume)
{
	int fd = volume->errors.fd;

	volume->n_disks = 0;
	if (fd < 0)
		return;
	loop_remove(&volume->errors);
	volume->errors.fd = -1;
	close(fd);
}

static void lost(struct volume *volume, const char *why)
{
	char reason[NODE_REASON_MAX];

	snprintf(reason, sizeof(reason), "%.200s: %s; start the machine again", volume->mount, why);
	forget(volume);
	plan_lost(plan, volume->node, reason, loop_now_ns());
}

/* The error of an event; 0: it says none. */
static int error_of(const struct fanotify_event_metadata *event)
{
	const char *at = (const char *)event + event->metadata_len, *end = (const char *)event + event->event_len;
	struct fanotify_event_info_error info;

	for (; (size_t)(end - at) >= sizeof(info.hdr); at += info.hdr.len) {
		memcpy(&info.hdr, at, sizeof(info.hdr));
		if (info.hdr.len < sizeof(info.hdr) || info.hdr.len > end - at)
			break;
		if (info.hdr.info_type != FAN_EVENT_INFO_TYPE_ERROR || info.hdr.len < sizeof(info))
			continue;
		memcpy(&info, at, sizeof(info));
		return info.error;
	}
	return 0;
}

static void found(struct loop_source *source, uint32_t events)
{
	struct volume *volume = (struct volume *)source;
	union {
		struct fanotify_event_metadata first;
		char bytes[1024];
	} buffer;
	ssize_t n = read(source->fd, &buffer, sizeof(buffer));
	char why[128];

	(void)events;
	if (n < (ssize_t)FAN_EVENT_METADATA_LEN || buffer.first.event_len > (size_t)n ||
	    !(buffer.first.mask & FAN_FS_ERROR))
		return;
	snprintf(why, sizeof(why), "the kernel found an error in the file system (%s) and made it read-only",
		 error_words(error_of(&buffer.first)));
	lost(volume, why);
}

static int watch_errors(struct volume *volume)
{
	const unsigned flags = FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC | FAN_NONBLOCK;
	int fd = (int)syscall(SYS_fanotify_init, flags, O_RDONLY), r;

	if (fd < 0)
		return -errno;
	if (syscall(SYS_fanotify_mark, fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, (uint64_t)FAN_FS_ERROR, AT_FDCWD,
		    volume->mount) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	volume->errors.ready = found;
	return loop_take(&volume->errors, fd, EPOLLIN);
}

/* ---- disks */

static void look_for_disks(void)
{
	char why[80];

	for (struct volume *volume = volumes; volume < volumes + n_volumes; volume++)
		for (size_t i = 0; i < volume->n_disks; i++)
			if (access(volume->disks[i].path, F_OK) < 0 && errno == ENOENT) {
				snprintf(why, sizeof(why), "its disk %s is gone", volume->disks[i].name);
				lost(volume, why);
				break;
			}
}

static void changed(struct loop_source *source, uint32_t events)
{
	char byte;

	(void)events;
	for (int i = 0; i < UEVENTS_IN_A_TURN; i++)
		if (recv(source->fd, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) < 0 && errno != ENOBUFS)
			break;
	look_for_disks();
}

static void listen_for_uevents(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
	int fd, r;

	if (uevents.fd >= 0)
		return;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	r = fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	uevents.ready = changed;
	if (r == 0)
		r = loop_take(&uevents, fd, EPOLLIN);
	else if (fd >= 0)
		close(fd);
	if (r < 0)
		event_say(EVENT_WARNING, "gantry", "removal of disks is not watched: %s", strerror(-r));
}

/* "8:0" of a block device's folder in sysfs, as a path. */
static bool device_path(const char *folder, char ret[48])
{
	char path[PATH_MAX], number[24];
	_cleanup_(cleanup_close) int fd = -1;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/dev", folder) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, number, sizeof(number) - 1);
	if (n <= 0)
		return false;
	number[n] = '\0';
	number[strcspn(number, "\n")] = '\0';
	snprintf(ret, 48, "/sys/dev/block/%s", number);
	return true;
}

/* Those below the device, or it itself. */
static void find_disks(struct volume *volume, const char *device, const char *name)
{
	_cleanup_(cleanup_closedir) DIR *dir = NULL;
	char path[PATH_MAX];
	struct dirent *entry;

	snprintf(path, sizeof(path), "%s/slaves", device);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) && volume->n_disks < DISKS_MAX) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= sizeof(volume->disks->name))
			continue;
		snprintf(path, sizeof(path), "%s/slaves/%s", device, entry->d_name);
		if (!device_path(path, volume->disks[volume->n_disks].path))
			continue;
		snprintf(volume->disks[volume->n_disks++].name, sizeof(volume->disks->name), "%.31s", entry->d_name);
	}
	if (volume->n_disks == 0) {
		snprintf(volume->disks[0].path, sizeof(volume->disks->path), "%.47s", device);
		snprintf(volume->disks[0].name, sizeof(volume->disks->name), "%.31s", name);
		volume->n_disks = 1;
	}
}

/* ---- the file system */

static int watch(struct volume *volume)
{
	char device[48], target[PATH_MAX];
	const char *name;
	struct stat st, root;
	ssize_t n;

	if (stat(volume->mount, &st) < 0 || stat("/", &root) < 0)
		return -errno;
	if (st.st_dev == root.st_dev)
		return -ENOENT;
	snprintf(device, sizeof(device), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	n = readlink(device, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	name = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	find_disks(volume, device, name);
	return watch_errors(volume);
}

void volume_done(size_t node)
{
	for (struct volume *volume = volumes; volume < volumes + n_volumes; volume++) {
		int r;

		if (volume->node != node)
			continue;
		forget(volume);
		listen_for_uevents();
		r = watch(volume);
		if (r < 0)
			event_say(EVENT_WARNING, "gantry", "%s: errors of its file system are not watched: %s",
				  volume->mount, strerror(-r));
		look_for_disks();
	}
}
