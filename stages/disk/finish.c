/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last steps, the same for an opened and for a new volume: close the TPM's seals for the rest of the boot by
 * extending PCR 15, and only then check, mount and grow the file system. Each asks whether it is done already: an
 * attempt before this one may have been killed anywhere.
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
#include "stages/lib/tpm.h"

/*
 * What PCR 15 is extended with: an HMAC with the volume's key, so that it tells which volume this is; a host can choose
 * a UUID. Of a volume that an earlier attempt has opened, after which PCR 15 is mostly extended already, the UUID.
 */
static int proof_of(const struct luks *luks, const char *uuid, uint8_t ret[TPM_DIGEST_SIZE])
{
	char text[80];
	int n = snprintf(text, sizeof(text), "gantry-disk%s:%s", luks ? "" : "-opened-before", uuid);

	if (luks)
		return luks_proof(luks, text, ret);
	return mbedtls_sha256((const uint8_t *)text, (size_t)n, ret, 0) == 0 ? 0 : -EIO;
}

/*
 * The volume is whole: the version counter follows, and the record of its formatting is removed. A counter for which
 * the TPM has no room is not there for any image, and then no key of tpm2-signed opens. A record that stays is removed
 * by the next boot.
 */
static int settle_tpm(const struct work *w, char why[DISK_WHY_MAX])
{
	_cleanup_(cleanup_tpm) struct tpm *tpm = NULL;
	struct intent intent;
	int r = tpm_open(&tpm);

	if (r < 0) {
		snprintf(why, DISK_WHY_MAX, "no TPM: %s", strerror(-r));
		return r == -ENOENT ? 0 : r;
	}
	if (w->place.policy_key)
		r = tpm_version_raise(tpm, w->place.approval.version);
	if (r == -ENOSPC)
		report_event(EVENT_WARNING,
			     "no room for a version counter in the TPM, so tpm2-signed opens nothing: %s",
			     tpm_reason(tpm));
	else if (r < 0)
		snprintf(why, DISK_WHY_MAX, "raising the version counter failed: %s", tpm_reason(tpm));
	if (r < 0 && r != -ENOSPC)
		return r;
	if (w->use_intent && intent_read(tpm, &intent) > 0 && intent_is_for(&intent, &w->disk) &&
	    intent_clear(tpm) < 0)
		report_event(EVENT_WARNING, "record of the formatting not removed: %s", tpm_reason(tpm));
	return 0;
}

/* The volume stays open for the next attempt. */
static int leave_open(const struct work *w, const char *why)
{
	char text[FIND_WHY_MAX + DISK_NAME_MAX + 4];

	report_result("%s: %s", work_text(w, text), why);
	return STAGE_AGAIN;
}

int disk_close_keys(const struct work *w, const struct luks *luks, const char *uuid)
{
	uint8_t digest[TPM_DIGEST_SIZE];
	char why[DISK_WHY_MAX], reason[TPM_REASON_MAX];
	int r = proof_of(luks, uuid, digest);

	if (r < 0)
		snprintf(why, sizeof(why), "digest of the volume for PCR 15 failed");
	else
		r = settle_tpm(w, why);
	/* What may fail comes first: with PCR 15 extended, no other attempt of this boot could unseal the key again. */
	if (r < 0)
		return luks ? work_give_up(w, STAGE_AGAIN, why) : leave_open(w, why);
	r = tpm_close_keys(digest, reason);
	if (r >= 0)
		return STAGE_DONE;
	snprintf(why, sizeof(why), "locking the TPM's disk keys for this boot (PCR 15) failed: %s", reason);
	return leave_open(w, why);
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

int disk_bring_up(struct work *w)
{
	char why[DISK_WHY_MAX] = "";
	int r = 0;

	disk_tune(w);
	if (ext4_is_mounted(w->device, w->mount) && ext4_look(w->mount, why) < 0) {
		report_result("%s: %s; start the machine again", w->mount, why);
		return STAGE_NEVER;
	}
	if (!ext4_is_mounted(w->device, w->mount))
		r = ext4_bring_up(w->device, w->mount, &w->ext4, why);
	if (key_error_may_pass(r) || r == -EINTR)
		return leave_open(w, why);
	if (r < 0)
		return work_give_up(w, STAGE_NEVER, why);
	report_fact("filesystem", "ext4");
	report_fact("mount", "%s", w->mount);
	grow(w);
	r = disk_settle(w, why);
	if (r < 0) {
		report_result("%s: %s", w->mount, why);
		return STAGE_NEVER;
	}
	return STAGE_DONE;
}

int disk_done(const struct work *w, const char *how)
{
	char text[FIND_WHY_MAX + DISK_NAME_MAX + 4], size[24];

	report_result("%s: %s, %s ext4 on %s", w->mount, how, size_text(w->disk.size, size), work_text(w, text));
	return STAGE_DONE;
}
