/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opens a volume with the first source that has a key, then gives this image the keyslots it should have, then closes
 * the TPM's seals for the rest of the boot by extending PCR 15, and only then looks at what is inside. Nothing is
 * written before a key has proved that the volume is ours.
 */
#define _GNU_SOURCE
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>
#include <mbedtls/sha256.h>

#include <gantry/cleanup.h>

#include "intent.h"
#include "luksmetadata.h"
#include "stages/lib/report.h"
#include "stages/lib/tpmnv.h"

#define ENROLL_WAIT_MS 30000	/* for a secret of the hub that a volume which is open already should also have */

static void close_tpm(struct tpm **tpm)
{
	tpm_close(*tpm);
}

/* Tries one source. 0: the volume is unlocked by it. */
static int unlock_with(struct work *w, struct luks *luks, const struct key_source *source, int *ret_keyslot)
{
	_cleanup_secret_ struct secret key = {0};
	char why[DISK_WHY_MAX] = "";
	int keyslot = -1, r;

	r = source->get(&w->place, luks_header_of(luks), &key, &keyslot, why);
	if (r == 0)
		r = luks_unlock(luks, keyslot, &key, ret_keyslot, why);
	if (r < 0)
		disk_add_reason(w, source, r, why);
	return r;
}

/* Whether the source's own keyslot is there and serves this image. -ENOKEY: a new one would help. */
static int has_keyslot(struct work *w, struct luks *luks, const struct key_source *source)
{
	_cleanup_secret_ struct secret key = {0};
	char why[DISK_WHY_MAX];
	int keyslot = -1, r;

	if (!luks_metadata_token(luks_header_of(luks), source->token, &keyslot))
		return -ENOKEY;
	if (source->cost == LUKS_COST_MUCH || strcmp(source->name, "hub") == 0)
		return 0;
	r = source->get(&w->place, luks_header_of(luks), &key, &keyslot, why);
	return r == 0 || key_error_may_pass(r) ? r : -ENOKEY;
}

static int change(struct work *w, struct luks *luks, const struct luks_change *change, char *why)
{
	_cleanup_(cleanup_close) int fd = open(w->disk.path, O_WRONLY | O_CLOEXEC);

	if (fd < 0) {
		snprintf(why, DISK_WHY_MAX, "%s: %s", w->disk.path, strerror(errno));
		return -EIO;
	}
	return luks_change(luks, change, fd, why);
}

/* A keyslot for that source, in place of the one another image had. */
static int enroll(struct work *w, struct luks *luks, const struct key_source *source, int opened, char *why)
{
	_cleanup_(cleanup_free) char *token = NULL;
	_cleanup_secret_ struct secret key = {0};
	struct luks_change wanted = {
		.slot = {.key = &key, .cost = source->cost}, .replaces = source->token, .keep = opened,
	};
	int r = source->make(&w->place, &key, &token, why);

	wanted.slot.token = token;
	return r < 0 ? r : change(w, luks, &wanted, why);
}

/* The volume was made by somebody else, and this keyslot turned out to be the source's. */
static int name_keyslot(struct work *w, struct luks *luks, const struct key_source *source, int opened, char *why)
{
	char token[96];
	struct luks_change wanted = {.slot.token = token, .named = opened, .keep = opened};

	snprintf(token, sizeof(token), "{\"type\":\"%s\",\"keyslots\":[]}", source->token);
	return change(w, luks, &wanted, why);
}

/*
 * What `enroll` asks for. A failure is told and the boot goes on: the volume is open, and the next boot tries again.
 */
static void enroll_all(struct work *w, struct luks *luks, const struct key_source *by, int opened)
{
	w->place.artifact_wait_ms = ENROLL_WAIT_MS;
	for (size_t i = 0; i < w->n_enroll; i++) {
		const struct key_source *source = w->enroll[i];
		char why[DISK_WHY_MAX] = "";
		int r;

		if (source == by && luks_metadata_names(luks_header_of(luks), opened))
			continue;
		r = source == by ? 0 : has_keyslot(w, luks, source);
		if (source == by)
			r = name_keyslot(w, luks, source, opened, why);
		else if (r == -ENOKEY)
			r = enroll(w, luks, source, opened, why);
		else
			continue;
		if (r == 0)
			report_event(EVENT_NOTICE, "%s has a keyslot now", source->name);
		else
			report_event(EVENT_WARNING, "no keyslot for %s: %s", source->name, why);
		if (r == -EIO)	/* it is not known which copy of the header is whole: none is written over */
			break;
	}
}

/* What has the TPM know that the disk is open: nothing that runs later in this boot can unseal the key. */
int disk_close_keys(const struct work *w, const char *uuid, char why[DISK_WHY_MAX])
{
	_cleanup_(close_tpm) struct tpm *tpm = NULL;
	static const uint8_t untouched[TPM_DIGEST_SIZE];
	uint8_t digest[TPM_DIGEST_SIZE], now[TPM_DIGEST_SIZE];
	struct intent intent;
	char text[64];
	int r, n;

	r = tpm_open(w->place.tcti, &tpm);
	if (r == -ENOENT) {
		report_event(EVENT_DEBUG, "no TPM: there is nothing to close");
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
	if (r == 0 && w->place.policy_key)
		r = tpm_counter_raise(tpm, TPM_VERSION_NV, w->place.approval.version);
	/* The volume is whole, so a record of its making is of no use any more. */
	if (r == 0 && w->use_intent && intent_read(tpm, &intent) > 0 && intent_is_for(&intent, &w->disk))
		r = intent_clear(tpm);
	if (r < 0)
		snprintf(why, DISK_WHY_MAX, "the keys cannot be closed: %s", tpm_reason(tpm));
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

/* The volume reaches to the end of the disk by itself; what is in it has to be told. */
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
		report_event(EVENT_NOTICE, "file system has grown to %s", size_text(bytes - BLANK_EDGE, size));
	else if (r < 0)
		report_event(EVENT_WARNING, "file system cannot grow to %s: %s", size_text(bytes - BLANK_EDGE, size),
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
		report_event(EVENT_NOTICE, "the file system was not closed in order: checking it");
	r = clean ? 0 : ext4_check(w->device, why);
	if (r == -EAGAIN || r == -EINTR) {	/* the volume stays open for the next attempt */
		report_result("%s: %s", disk_text(w, text), why);
		return STAGE_AGAIN;
	}
	if (r < 0)
		return disk_give_up(w, STAGE_NEVER, why);
	if (r > 0)
		report_event(EVENT_NOTICE, "e2fsck repaired the file system");
	r = ext4_mount(w->device, w->mount, &w->ext4);
	if (r < 0) {
		snprintf(why, sizeof(why), "mount on %.100s: %s", w->mount, strerror(-r));
		return disk_give_up(w, STAGE_NEVER, why);
	}
	report_fact("filesystem", "ext4");
	report_fact("mount", "%s", w->mount);
	grow(w);
	r = disk_settle(w, why);
	if (r < 0) {
		report_result("%s: %s", w->mount, why);
		return STAGE_NEVER;
	}
	report_result("%s: %s, %s ext4 on %s", w->mount, how, size_text(w->disk.size, size), disk_text(w, text));
	return STAGE_DONE;
}

/* Whether both copies of the header are good from here on: only then may one of them be written over. */
static bool repair(const struct work *w, struct luks *luks)
{
	_cleanup_(cleanup_close) int fd = -1;
	int r;

	if (luks_header_of(luks)->copies == LUKS_COPIES_BOTH)
		return true;
	fd = open(w->disk.path, O_WRONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : luks_repair(luks, fd);
	report_event(r < 0 ? EVENT_WARNING : EVENT_NOTICE, "%s copy of the header %s%s",
		     luks_header_of(luks)->copies == LUKS_COPIES_PRIMARY ? "secondary" : "primary",
		     r < 0 ? "cannot be repaired: " : "was damaged or older, and is repaired",
		     r < 0 ? strerror(-r) : "");
	return r >= 0;
}

int disk_open(struct work *w, struct luks *luks)
{
	char why[DISK_WHY_MAX] = "", how[64];
	int keyslot = -1, r;
	size_t i;

	for (i = 0; i < w->n_keys; i++)
		if (unlock_with(w, luks, w->keys[i], &keyslot) == 0)
			break;
	if (i == w->n_keys)
		return -ENOKEY;
	report_event(EVENT_INFO, "opened by %s, keyslot %d", w->keys[i]->name, keyslot);
	r = luks_activate(luks, w->name, w->ext4.discard, why);
	if (r < 0) {
		w->worth_retry |= key_error_may_pass(r);
		return disk_leave(w, why);
	}
	if (repair(w, luks))
		enroll_all(w, luks, w->keys[i], keyslot);
	r = disk_close_keys(w, luks_header_of(luks)->uuid, why);
	if (r < 0)
		return disk_give_up(w, STAGE_AGAIN, why);
	disk_tell_volume(luks_header_of(luks)->uuid, w->keys[i]->name, false);
	snprintf(how, sizeof(how), "opened by %s", w->keys[i]->name);
	return disk_finish(w, how);
}

int disk_resume(struct work *w, struct luks *luks)
{
	char why[DISK_WHY_MAX] = "";
	int r;

	report_event(EVENT_INFO, "volume %s is open already", w->name);
	disk_tell_found(w);
	report_fact("luks_uuid", "%s", luks_header_of(luks)->uuid);
	r = disk_close_keys(w, luks_header_of(luks)->uuid, why);
	return r < 0 ? disk_give_up(w, STAGE_AGAIN, why) : disk_finish(w, "opened before");
}
