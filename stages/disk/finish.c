/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last steps, the same for an opened and for a new volume: close the TPM's seals for the rest of the boot by
 * extending PCR 15, and only then check, mount and grow the file system.
 */
#define _GNU_SOURCE
#include "finish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>
#include <mbedtls/sha256.h>

#include <gantry/cleanup.h>

#include "intent.h"
#include "settle.h"
#include "stages/lib/report.h"
#include "stages/lib/tpmnv.h"

/* Extends PCR 15, so that no later process of this boot can unseal the disk key. */
int disk_close_keys(const struct work *w, const char *uuid, char why[DISK_WHY_MAX])
{
	_cleanup_(cleanup_tpm) struct tpm *tpm = NULL;
	static const uint8_t untouched[TPM_DIGEST_SIZE];
	uint8_t digest[TPM_DIGEST_SIZE], now[TPM_DIGEST_SIZE];
	struct intent intent;
	const char *doing = "locking the TPM's disk keys for this boot (PCR 15)";
	char text[64];
	int r, n;

	r = tpm_open(w->place.tcti, &tpm);
	if (r == -ENOENT) {
		report_event(EVENT_DEBUG, "no TPM: PCR 15 not extended");
		return 0;
	}
	if (r < 0) {
		snprintf(why, DISK_WHY_MAX, "no TPM at %s: %s", w->place.tcti, strerror(-r));
		return r;
	}
	n = snprintf(text, sizeof(text), "gantry-disk:%s", uuid);
	if (mbedtls_sha256((const uint8_t *)text, (size_t)n, digest, 0) != 0)
		return -EIO;
	r = tpm_pcr_read(tpm, TPM_PCR_CLOSE, now);
	if (r == 0 && memcmp(now, untouched, sizeof(now)) == 0)
		r = tpm_pcr_extend(tpm, TPM_PCR_CLOSE, digest);
	if (r == 0 && w->place.policy_key) {
		doing = "raising the version counter";
		r = tpm_counter_raise(tpm, TPM_VERSION_NV, w->place.approval.version);
	}
	/* The volume is whole, so the record of its formatting is removed. */
	if (r == 0 && w->use_intent && intent_read(tpm, &intent) > 0 && intent_is_for(&intent, &w->disk)) {
		doing = "removing the record of the formatting";
		r = intent_clear(tpm);
	}
	if (r < 0)
		snprintf(why, DISK_WHY_MAX, "%s failed: %s", doing, tpm_reason(tpm));
	return r;
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

/* The volume grows with the disk; the file system in it is grown here. */
static void grow(const struct work *w)
{
	_cleanup_(cleanup_close) int fd = open(w->device, O_RDONLY | O_CLOEXEC);
	char size[24];
	uint64_t bytes;
	int r;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return;
	r = ext4_grow(w->device, w->mount, bytes - BLANK_EDGE);
	if (r > 0)
		report_event(EVENT_NOTICE, "file system grown to %s", size_text(bytes - BLANK_EDGE, size));
	else if (r < 0)
		report_event(EVENT_WARNING, "file system not grown to %s: %s", size_text(bytes - BLANK_EDGE, size),
			     strerror(-r));
}

int disk_finish(struct work *w, const char *how)
{
	char why[DISK_WHY_MAX] = "", text[FIND_WHY_MAX + DISK_NAME_MAX + 4], size[24];
	bool clean;
	int r;

	disk_tune(w);
	clean = ext4_is_clean(w->device);
	if (!clean)
		report_event(EVENT_NOTICE, "file system was not unmounted cleanly: running e2fsck");
	r = clean ? 0 : ext4_check(w->device, why);
	if (r == -EAGAIN || r == -EINTR) {	/* the volume stays open for the next attempt */
		report_result("%s: %s", work_text(w, text), why);
		return STAGE_AGAIN;
	}
	if (r < 0)
		return work_give_up(w, STAGE_NEVER, why);
	if (r > 0)
		report_event(EVENT_NOTICE, "e2fsck repaired the file system");
	r = ext4_mount(w->device, w->mount, &w->ext4);
	if (r < 0) {
		snprintf(why, sizeof(why), "mount on %.100s: %s", w->mount, strerror(-r));
		return work_give_up(w, STAGE_NEVER, why);
	}
	report_fact("filesystem", "ext4");
	report_fact("mount", "%s", w->mount);
	grow(w);
	r = disk_settle(w, why);
	if (r < 0) {
		report_result("%s: %s", w->mount, why);
		return STAGE_NEVER;
	}
	report_result("%s: %s, %s ext4 on %s", w->mount, how, size_text(w->disk.size, size), work_text(w, text));
	return STAGE_DONE;
}
