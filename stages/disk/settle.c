/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings of an opened volume besides its mount: the queues set for random reads, a swap file, directories for the
 * services. A queue setting that the kernel refuses is a debug event; a swap file that cannot be made is a warning; a
 * directory that cannot be made fails the stage, since services need it.
 */
#define _GNU_SOURCE
#include "settle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "stages/lib/options.h"
#include "stages/lib/report.h"

#define NVME_TIMEOUT_S 240
#define SWAP_NAME     ".swap"
#define SWAP_PAGE     4096
#define SWAP_MAGIC    "SWAPSPACE2"
#define FREE_PERCENT  5		/* of the file system that a swap file must leave */

/* ---- queues */

static void set(const char *path, const char *value)
{
	_cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		report_event(EVENT_DEBUG, "%s: %s not set: %s", path, value, strerror(errno));
}

static void set_number(const char *path, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	set(path, text);
}

/*
 * A remote NVMe disk may be silent for minutes, while the host retries or moves it; the kernel gives up after 30 s, and
 * then the file system is read-only. 240 s is what Azure asks for.
 */
void disk_outlast(const struct work *w)
{
	int64_t seconds = option_integer(w->context, "io_timeout_s");
	char path[128];

	snprintf(path, sizeof(path), "/sys/block/%s/nsid", w->disk.name);
	if (!seconds && access(path, F_OK) == 0)
		seconds = NVME_TIMEOUT_S;
	snprintf(path, sizeof(path), "/sys/block/%s/queue/io_timeout", w->disk.name);
	if (seconds)
		set_number(path, seconds * 1000);
}

void disk_tune(const struct work *w)
{
	int64_t read_ahead = option_integer(w->context, "read_ahead_kb");
	int64_t depth = option_integer(w->context, "queue_depth");
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "/sys/block/%s/queue/scheduler", w->disk.name);
	set(path, option_string(w->context, "scheduler"));
	snprintf(path, sizeof(path), "/sys/block/%s/queue/read_ahead_kb", w->disk.name);
	set_number(path, read_ahead);
	if (stat(w->device, &st) == 0 && S_ISBLK(st.st_mode)) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/read_ahead_kb", major(st.st_rdev),
			 minor(st.st_rdev));
		set_number(path, read_ahead);
	}
	if (depth) {
		snprintf(path, sizeof(path), "/sys/block/%s/device/queue_depth", w->disk.name);
		set_number(path, depth);
		snprintf(path, sizeof(path), "/sys/block/%s/queue/nr_requests", w->disk.name);
		set_number(path, depth);
	}
}

/* ---- swap */

/* mm/swapfile.c and include/linux/swap.h of the kernel: union swap_header. */
struct swap_header {
	uint8_t boot[1024];
	uint32_t version, last_page, n_bad_pages;
	uint8_t uuid[16], label[16];
	uint8_t padding[SWAP_PAGE - 1024 - 12 - 32 - 10];
	char magic[10];
} __attribute__((packed));

_Static_assert(sizeof(struct swap_header) == SWAP_PAGE, "one page");

static int write_swap_header(int fd, uint64_t size)
{
	struct swap_header header = {.version = 1, .last_page = (uint32_t)(size / SWAP_PAGE - 1)};

	(void)!getrandom(header.uuid, sizeof(header.uuid), 0);
	memcpy(header.magic, SWAP_MAGIC, sizeof(header.magic));
	return pwrite(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) && fsync(fd) == 0 ? 0 : -errno;
}

/* Whether all of its blocks are there; one with holes cannot be swapped on. */
static bool is_allocated(int fd, uint64_t size)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size &&
	       (uint64_t)st.st_blocks * 512 >= size;
}

static bool has_room(int directory, uint64_t size)
{
	struct statfs fs;

	return fstatfs(directory, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >=
		       size + (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize / 100 * FREE_PERCENT;
}

static int make_swap_file(int directory, uint64_t size)
{
	_cleanup_(cleanup_close) int fd =
		openat(directory, SWAP_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && is_allocated(fd, size) && fchmod(fd, 0600) == 0)
		return write_swap_header(fd, size);
	if (unlinkat(directory, SWAP_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	if (!size)
		return 0;
	if (!has_room(directory, size))
		return -ENOSPC;
	cleanup_close(&fd);
	fd = openat(directory, SWAP_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fallocate(fd, 0, 0, (off_t)size) < 0) {
		int r = -errno;

		(void)unlinkat(directory, SWAP_NAME, 0);
		return r;
	}
	return write_swap_header(fd, size);
}

static void swap_on(const struct work *w)
{
	uint64_t size = (uint64_t)option_integer(w->context, "swap_bytes") / SWAP_PAGE * SWAP_PAGE;
	_cleanup_(cleanup_close) int directory = open(w->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[300];
	int r = directory < 0 ? -errno : make_swap_file(directory, size);

	if (r == -ETXTBSY)	/* an attempt before this one has switched it on */
		return;
	if (r == 0 && size) {
		snprintf(path, sizeof(path), "%s/" SWAP_NAME, w->mount);
		r = swapon(path, 0) < 0 ? -errno : 0;
	}
	if (r < 0)
		report_event(EVENT_WARNING, "swap file %s/" SWAP_NAME " (%" PRIu64 " bytes) not activated: %s",
			     w->mount, size, strerror(-r));
	else if (size)
		report_event(EVENT_INFO, "swap on, %" PRIu64 " MiB", size >> 20);
}

/* ---- directories */

const struct stage_option disk_directory_options[] = {
	{.name = "path", .type = OPTION_STRING, .required = true, .minimum = 1, .maximum = 255},
	{.name = "user", .type = OPTION_STRING, .minimum = 1, .maximum = 32, .fallback = "root"},
	{.name = "group", .type = OPTION_STRING, .minimum = 1, .maximum = 32},
	{.name = "mode", .type = OPTION_STRING, .minimum = 3, .maximum = 4, .fallback = "0755"},
	{0},
};

struct directory {
	const char *path;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

static int owner_of(struct json_object *item, struct directory *ret, char why[DISK_WHY_MAX])
{
	const char *user = option_string_of(item, "user"), *group = option_string_of(item, "group");
	const struct passwd *p = getpwnam(user);
	const struct group *g = group ? getgrnam(group) : NULL;

	if (!p || (group && !g)) {
		snprintf(why, DISK_WHY_MAX, "no %s %.32s", p ? "group" : "user", p ? group : user);
		return -ENOENT;
	}
	ret->uid = p->pw_uid;
	ret->gid = g ? g->gr_gid : p->pw_gid;
	return 0;
}

/* Step by step, and never through a link: a link on the disk may point anywhere. */
static int make_directory(int root, const struct directory *d)
{
	_cleanup_(cleanup_close) int at = fcntl(root, F_DUPFD_CLOEXEC, 0);
	char name[256];
	const char *p = d->path;

	if (at < 0)
		return -errno;
	for (p += strspn(p, "/"); *p; p += strspn(p, "/")) {
		size_t n = strcspn(p, "/");
		int next;

		if (n >= sizeof(name) || (n <= 2 && strncmp(p, "..", n) == 0))
			return -EINVAL;
		memcpy(name, p, n);
		name[n] = '\0';
		if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		cleanup_close(&at);
		at = next;
		p += n;
	}
	return fchown(at, d->uid, d->gid) < 0 || fchmod(at, d->mode) < 0 ? -errno : 0;
}

static int make_directories(const struct work *w, char why[DISK_WHY_MAX])
{
	_cleanup_(cleanup_close) int root = open(w->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t n;
	struct json_object *list = option_array(w->context, "directories", &n);

	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct directory d = {
			.path = option_string_of(item, "path"),
			.mode = (mode_t)strtoul(option_string_of(item, "mode"), NULL, 8),
		};
		int r = owner_of(item, &d, why);

		if (r < 0)
			return r;
		r = make_directory(root, &d);
		if (r < 0) {
			snprintf(why, DISK_WHY_MAX, "directory %.100s: %s", d.path, strerror(-r));
			return r;
		}
	}
	return 0;
}

int disk_settle(const struct work *w, char why[DISK_WHY_MAX])
{
	int r = make_directories(w, why);

	if (r == 0)
		swap_on(w);
	return r;
}
