/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waits for the disk: subscribes to uevents first and scans then, so that no disk is missed in between, and scans
 * again after each uevent. A disk that disappears meanwhile counts as not found. Every ten seconds it reports the disk
 * it waits for.
 */
#define _GNU_SOURCE
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include <gantry/cleanup.h>

#include "stages/lib/backoff.h"
#include "stages/lib/report.h"
#include "uevent.h"

#define SAY_EVERY_MS 10000

static const struct find_roots roots = {"/sys", "/proc"};

/* Then it has no partitions, and looking for them would only take time. */
static bool starts_as_luks(int fd)
{
	char magic[6];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && memcmp(magic, "LUKS\xba\xbe", 6) == 0;
}

/* The reason why a disk is not the configured one. */
static const char *refuse(const struct disk *disk)
{
	_cleanup_(cleanup_close) int fd = open(disk->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return "being removed";
	return starts_as_luks(fd) || blank_is_boot_disk(fd) <= 0 ? NULL : "the boot disk";
}

/* One look. 1: w->disk and w->fd are it; 0: not yet, and why may say something about it. */
static int look(struct work *w, char why[FIND_WHY_MAX])
{
	_cleanup_(cleanup_close) int fd = -1;
	struct stat st;
	int r;

	r = find_disk(&roots, &w->rule, refuse, &w->disk, why);
	if (r <= 0)
		return r;
	fd = open(w->disk.path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != w->disk.number) {
		snprintf(why, FIND_WHY_MAX, "%s is being removed", w->disk.name);
		return 0;
	}
	if (ioctl(fd, BLKGETSIZE64, &w->disk.size) < 0)
		return -errno;
	w->fd = fd;
	fd = -1;
	return 1;
}

int disk_wait(struct work *w)
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
			report_result("disk %s did not appear within %" PRId64 " s%s%s", w->rule_text,
				      w->wait_ms / 1000, why[0] ? ": " : "", why);
			return STAGE_NEVER;
		}
		if (now >= say) {
			report_event(EVENT_INFO, "waiting for disk %s%s%s", w->rule_text, why[0] ? ": " : "", why);
			report_result("disk %s did not appear%s%s", w->rule_text, why[0] ? ": " : "", why);
			say = now + SAY_EVERY_MS;
		}
		r = uevent_wait(events, "block", w->wait_ms && start + w->wait_ms < say ? start + w->wait_ms : say);
		if (r < 0)
			break;
	}
	if (r > 0) {
		work_tell_found(w);
		report_fact("wait_s", "%.3f", (double)(time_now_ms() - w->started_ms) / 1000);
		return STAGE_DONE;
	}
	report_result("disk %s: %s", w->rule_text, r == -EEXIST ? why : strerror(-r));
	return r == -EEXIST ? STAGE_NEVER : STAGE_AGAIN;
}
