/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `disk`: finds the data disk, opens it, or formats it if and only if it is blank, and mounts it. A disk that
 * cannot be opened is left as it is, to the byte, and the boot is held with the reason of each key source.
 *
 * It may be killed anywhere and started again. Formatting needs no memory of how far it came: the LUKS header is
 * made in memory and written last, when the file system behind it is complete, and until then the disk still reads
 * as blank. (The last megabyte stays unused for that: mke2fs wipes the end of what it is given.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/fs.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "lib/backoff.h"
#include "lib/blank.h"
#include "lib/diskkey.h"
#include "lib/ext4.h"
#include "lib/find.h"
#include "lib/luks.h"
#include "lib/options.h"
#include "lib/report.h"
#include "lib/tpm.h"
#include "lib/uevent.h"

#define SAY_EVERY_MS  10000
#define SIZE_MIN      (64u << 20)	/* bytes; below that there is no point in a file system */
#define SOURCES_MAX   4
#define REASON_MAX    512
#define PCRS_DEFAULT  (1u << 4 | 1u << 9 | 1u << 11)

static const struct find_roots roots = {"/sys", "/proc"};

struct work {
	unsigned lun;
	const char *name, *mount;	/* of the volume; where it goes */
	bool may_format;
	int64_t wait_ms;		/* 0: for ever */
	struct key_place place;
	const struct key_source *sources[SOURCES_MAX];
	size_t n_sources;

	char device[80];		/* /dev/mapper/NAME */
	struct disk disk;
	int fd;				/* of the disk, read-only; keeps its number from being used again */
	char reasons[REASON_MAX];	/* why each source could not help */
	bool worth_retry;
};

static void close_luks(struct luks **luks)
{
	luks_close(*luks);
}

static void read_options(const struct stage_context *context, struct work *w)
{
	struct json_object *list;
	size_t n;

	w->lun = (unsigned)option_integer(context, "lun", 10);
	w->name = option_string(context, "name", "persistent");
	w->mount = option_string(context, "mount", "/persistent");
	w->may_format = option_boolean(context, "format", true);
	w->wait_ms = option_integer(context, "wait_s", 0) * 1000;
	w->place.tcti = option_string(context, "tcti", TPM_TCTI_DEFAULT);
	w->place.pcrs = 0;
	list = option_array(context, "pcrs", &n);
	for (size_t i = 0; i < n; i++)
		w->place.pcrs |= 1u << json_object_get_int(json_object_array_get_idx(list, i));
	if (!w->place.pcrs)
		w->place.pcrs = PCRS_DEFAULT;
	list = option_array(context, "keys", &n);
	for (size_t i = 0; i < n && w->n_sources < SOURCES_MAX; i++) {
		const char *key = json_object_get_string(json_object_array_get_idx(list, i));

		w->sources[w->n_sources] = key_source_named(key);
		w->n_sources += w->sources[w->n_sources] != NULL;
	}
	if (!list) {
		w->sources[w->n_sources++] = key_source_named("tpm2");
		w->sources[w->n_sources++] = key_source_named("hub");
	}
	snprintf(w->device, sizeof(w->device), "/dev/mapper/%s", w->name);
}

static const char *size_text(uint64_t bytes, char text[24])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes / 1024;
	size_t i = 0;

	for (; value >= 1024 && i + 1 < sizeof(units) / sizeof(*units); i++)
		value /= 1024;
	snprintf(text, 24, "%.1f %s", value, units[i]);
	return text;
}

/* "sda (lun 10)", as every text about the disk calls it. */
static const char *disk_text(const struct work *w, char text[64])
{
	snprintf(text, 64, "%s (lun %u)", w->disk.name, w->lun);
	return text;
}

/* The reasons of the sources, one after the other. */
static void add_reason(struct work *w, const char *source, const char *why)
{
	size_t used = strlen(w->reasons);

	snprintf(w->reasons + used, sizeof(w->reasons) - used, "%s%s: %s", used ? "; " : "", source, why);
	report_event(EVENT_WARNING, "key source %s: %s", source, why);
}

/* Waits until some block device has come, gone or changed, or the time is over. */
static int wait_for_change(int fd, int64_t until_ms)
{
	for (;;) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};
		char buffer[UEVENT_SIZE_MAX];
		int64_t left = until_ms - time_now_ms();
		struct uevent event;
		bool changed = false;
		int r;

		if (poll(&pollfd, 1, left > 0 ? (int)left : 0) < 0 && errno != EINTR)
			return -errno;
		while ((r = uevent_receive(fd, buffer, &event)) > 0)
			changed |= strcmp(event.subsystem, "block") == 0;
		if (r == -ENOBUFS)
			changed = true;
		else if (r < 0)
			return r;
		if (changed || time_now_ms() >= until_ms)
			return 0;
	}
}

/* Then it has no partitions, and looking for them would only take time. */
static bool starts_as_luks(int fd)
{
	char magic[6];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && memcmp(magic, "LUKS\xba\xbe", 6) == 0;
}

/* One look. 1: w->disk and w->fd are it; 0: not yet, and why may say something about it. */
static int look(struct work *w, char why[FIND_WHY_MAX])
{
	_cleanup_(cleanup_close) int fd = -1;
	struct stat st;
	int r;

	r = find_disk(&roots, w->lun, &w->disk, why);
	if (r <= 0)
		return r;
	fd = open(w->disk.path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != w->disk.number) {
		snprintf(why, FIND_WHY_MAX, "%s is going away", w->disk.name);
		return 0;
	}
	if (ioctl(fd, BLKGETSIZE64, &w->disk.size) < 0)
		return -errno;
	r = starts_as_luks(fd) ? 0 : blank_is_boot_disk(fd);
	if (r > 0)
		snprintf(why, FIND_WHY_MAX, "%s is the boot disk", w->disk.name);
	if (r != 0)
		return r < 0 ? r : 0;
	w->fd = fd;
	fd = -1;
	return 1;
}

/* Subscribes first, so that nothing is missed between the look and the wait. */
static int find(struct work *w)
{
	_cleanup_(cleanup_close) int events = -1;
	int64_t start = time_now_ms(), say = start;
	char why[FIND_WHY_MAX] = "";
	int r;

	r = uevent_open(&events);
	if (r < 0) {
		report_result("uevent socket: %s", strerror(-r));
		return STAGE_AGAIN;
	}
	while ((r = look(w, why)) == 0) {
		int64_t now = time_now_ms();

		if (w->wait_ms && now - start >= w->wait_ms) {
			report_result("disk lun %u did not come in %" PRId64 " s%s%s", w->lun, w->wait_ms / 1000,
				      why[0] ? ": " : "", why);
			return STAGE_NEVER;
		}
		if (now >= say) {
			report_event(EVENT_INFO, "waits for disk lun %u%s%s", w->lun, why[0] ? ": " : "", why);
			report_result("disk lun %u did not come%s%s", w->lun, why[0] ? ": " : "", why);
			say = now + SAY_EVERY_MS;
		}
		r = wait_for_change(events, w->wait_ms && start + w->wait_ms < say ? start + w->wait_ms : say);
		if (r < 0)
			break;
	}
	if (r > 0)
		return STAGE_DONE;
	report_result("disk lun %u: %s", w->lun, r == -EEXIST ? why : strerror(-r));
	return r == -EEXIST ? STAGE_NEVER : STAGE_AGAIN;
}

/* Ends the stage with the disk as it is. */
static int leave(const struct work *w, const char *why)
{
	char text[64];

	report_result("%s left untouched: %s", disk_text(w, text), why);
	return w->worth_retry ? STAGE_AGAIN : STAGE_NEVER;
}

static bool may_pass(int error)
{
	return error == -EAGAIN || error == -ENODEV || error == -EBUSY || error == -EIO;
}

/* Tries one source on the volume. 0: it is open. */
static int open_with(struct work *w, struct luks *luks, const struct key_source *source)
{
	_cleanup_secret_ struct secret key = {0};
	char why[KEY_WHY_MAX] = "";
	int keyslot = -1, r;

	r = source->get(&w->place, luks_header_of(luks), &key, &keyslot, why);
	if (r == 0)
		r = luks_activate(luks, w->name, keyslot, &key, why);
	if (r < 0) {
		add_reason(w, source->name, why);
		w->worth_retry |= may_pass(r);
	}
	return r;
}

/* Closes the volume again when what is on it cannot be used, and says why. */
static int give_up(const struct work *w, int result, const char *why)
{
	char text[64];

	(void)luks_deactivate(w->name);
	report_result("%s: %s", disk_text(w, text), why);
	return result;
}

static int mount_volume(const struct work *w, const char *how)
{
	char why[EXT4_WHY_MAX], text[64], size[24];
	int r = ext4_mount(w->device, w->mount);

	if (r < 0) {
		snprintf(why, sizeof(why), "mount on %s: %s", w->mount, strerror(-r));
		return give_up(w, r == -EBUSY ? STAGE_AGAIN : STAGE_NEVER, why);
	}
	report_result("%s: %s, %s ext4 on %s", w->mount, how, size_text(w->disk.size, size), disk_text(w, text));
	return STAGE_DONE;
}

static int open_existing(struct work *w, struct luks *luks)
{
	char why[EXT4_WHY_MAX], how[64];
	size_t i;
	int r;

	for (i = 0; i < w->n_sources; i++)
		if (open_with(w, luks, w->sources[i]) == 0)
			break;
	if (i == w->n_sources)
		return leave(w, w->reasons);
	report_event(EVENT_INFO, "opened by %s", w->sources[i]->name);
	r = ext4_is_clean(w->device) ? 0 : ext4_check(w->device, why);
	if (r < 0)
		return give_up(w, r == -EAGAIN || r == -EINTR ? STAGE_AGAIN : STAGE_NEVER, why);
	if (r > 0)
		report_event(EVENT_NOTICE, "e2fsck repaired the file system");
	snprintf(how, sizeof(how), "opened by %s", w->sources[i]->name);
	return mount_volume(w, how);
}

/* The first source that has a key. 0: key and token are the caller's. */
static int new_key(struct work *w, struct secret *key, char **token, const char **ret_source)
{
	for (size_t i = 0; i < w->n_sources; i++) {
		char why[KEY_WHY_MAX] = "";
		int r = w->sources[i]->make(&w->place, key, token, why);

		if (r == 0) {
			*ret_source = w->sources[i]->name;
			return 0;
		}
		add_reason(w, w->sources[i]->name, why);
		w->worth_retry |= may_pass(r);
	}
	return -ENOKEY;
}

/* The file system first, the header last. */
static int fill(struct work *w, struct luks *luks, char why[EXT4_WHY_MAX])
{
	_cleanup_(cleanup_close) int disk = -1;
	_cleanup_(cleanup_close) int volume = -1;
	uint64_t size;
	int r;

	r = luks_activate(luks, w->name, -1, NULL, why);
	if (r < 0)
		return r;
	volume = open(w->device, O_RDONLY | O_CLOEXEC);
	if (volume < 0 || ioctl(volume, BLKGETSIZE64, &size) < 0) {
		r = -errno;
		snprintf(why, EXT4_WHY_MAX, "%s: %s", w->device, strerror(-r));
		return r;
	}
	r = ext4_make(w->device, size - BLANK_EDGE, w->name, why);
	if (r < 0)
		return r;
	disk = open(w->disk.path, O_WRONLY | O_CLOEXEC);
	if (disk < 0 || fsync(volume) < 0)
		r = -errno;
	if (r == 0)
		r = luks_commit(luks, disk);
	if (r < 0)
		snprintf(why, EXT4_WHY_MAX, "writing the header: %s", strerror(-r));
	return r;
}

static int format(struct work *w)
{
	_cleanup_(close_luks) struct luks *luks = NULL;
	_cleanup_(cleanup_free) char *token = NULL;
	_cleanup_secret_ struct secret key = {0};
	char why[LUKS_WHY_MAX] = "", how[64], text[64];
	const char *source;
	int r;

	_Static_assert(LUKS_WHY_MAX >= EXT4_WHY_MAX, "one buffer for both");
	if (new_key(w, &key, &token, &source) < 0)
		return leave(w, w->reasons);
	report_event(EVENT_NOTICE, "%s is blank: formatting, key by %s", disk_text(w, text), source);
	r = luks_format(w->disk.path, &key, token, &luks, why);
	if (r == 0)
		r = fill(w, luks, why);
	if (r < 0)
		return give_up(w, r == -ENOENT || r == -ENOEXEC || r == -EROFS ? STAGE_NEVER : STAGE_AGAIN, why);
	snprintf(how, sizeof(how), "formatted, key by %s", source);
	return mount_volume(w, how);
}

/* What is on the disk decides. */
static int take_up(struct work *w)
{
	_cleanup_(close_luks) struct luks *luks = NULL;
	char why[LUKS_WHY_MAX], refused[LUKS_WHY_MAX + 32], size[24], text[64];
	int r;

	report_event(EVENT_INFO, "%s is there, %s", disk_text(w, text), size_text(w->disk.size, size));
	r = luks_open(w->fd, w->disk.path, w->disk.size, &luks, why);
	if (r > 0)
		return open_existing(w, luks);
	if (r < 0) {
		w->worth_retry = r != -EBADMSG;
		snprintf(refused, sizeof(refused), "LUKS2 header %s%s", r == -EBADMSG ? "refused: " : "", why);
		return leave(w, refused);
	}
	r = blank_check(w->fd, w->disk.size, why);
	if (r < 0) {
		w->worth_retry = true;
		snprintf(refused, sizeof(refused), "cannot be read: %s", strerror(-r));
		return leave(w, refused);
	}
	if (r == 0) {
		snprintf(refused, sizeof(refused), "neither blank nor ours: %s", why);
		return leave(w, refused);
	}
	if (!w->may_format)
		return leave(w, "blank, and formatting is switched off");
	if (w->disk.size < SIZE_MIN)
		return leave(w, "blank, and too small to format");
	return format(w);
}

/* What an attempt that was killed has left. 0: nothing; 1: all is done already. */
static int clear_up(const struct work *w)
{
	if (access(w->device, F_OK) < 0)
		return 0;
	if (ext4_is_mounted(w->device, w->mount)) {
		report_result("%s: already mounted", w->mount);
		return 1;
	}
	return luks_deactivate(w->name);
}

static int run(struct stage_context *context)
{
	struct work w = {.fd = -1};
	int r;

	read_options(context, &w);
	r = clear_up(&w);
	if (r > 0)
		return STAGE_DONE;
	if (r < 0) {
		report_result("volume %s is left from before and cannot be closed: %s", w.name, strerror(-r));
		return STAGE_AGAIN;
	}
	r = find(&w);
	if (r != STAGE_DONE)
		return r;
	r = take_up(&w);
	close(w.fd);
	return r;
}

static const char *const key_names[] = {"tpm2", "hub", NULL};

static const struct stage_option options[] = {
	{"lun", OPTION_INTEGER, .minimum = 0, .maximum = 16383},
	{"keys", OPTION_STRINGS, .minimum = 1, .maximum = SOURCES_MAX, .choices = key_names},
	{"mount", OPTION_STRING, .minimum = 2, .maximum = 255},
	{"name", OPTION_STRING, .minimum = 1, .maximum = 64},
	{"pcrs", OPTION_INTEGERS, .minimum = 0, .maximum = 23},
	{"tcti", OPTION_STRING, .minimum = 1, .maximum = 255},
	{"wait_s", OPTION_INTEGER, .minimum = 0, .maximum = 31536000},
	{"format", OPTION_BOOLEAN, .required = false},
	{0},
};

static const char *const takes[] = {KEY_ARTIFACT, NULL};

const struct stage stage_disk = {
	.type = "disk",
	.takes = takes,
	.options = options,
	.deadline_s = 0,
	.retry_limit = 5,
	.capabilities = UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_MKNOD,
	.execs = true,
	.filter = STAGE_FILTER_MOUNTS,
	.run = run,
};
