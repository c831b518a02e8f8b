/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes the volume on a disk that is blank, or that force_serial names. The order is the safety: the keys first,
 * because without one nothing is begun; then the record in the TPM; then the mark in the disk's first sector; the file
 * system behind it; and the header last, whose first sector takes the mark's place. A power cut before the mark leaves
 * a blank disk, one after it a disk that mark and record say is ours to begin again, and one after the header a whole
 * volume. Without a record (`intent`: none) there is no mark either: the disk reads as blank until the header is
 * written, for which the file system leaves the disk's last megabyte alone.
 */
#define _GNU_SOURCE
#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <linux/fs.h>

#include <gantry/cleanup.h>

#include "finish.h"
#include "intent.h"
#include "luksdevice.h"
#include "stages/lib/file.h"
#include "stages/lib/report.h"

#define HEAD_SIZE (2u << 20)	/* bytes; where the volume's data begin */

struct new_slot {
	struct secret key;
	char *token;
};

static void free_slots(struct new_slot (*slots)[KEY_SOURCES_MAX])
{
	for (size_t i = 0; i < KEY_SOURCES_MAX; i++) {
		secret_wipe(&(*slots)[i].key);
		free((*slots)[i].token);
	}
}

int disk_is_unfinished(struct work *w, bool *ret_has_mark, char why[DISK_WHY_MAX])
{
	_cleanup_(cleanup_tpm) struct tpm *tpm = NULL;
	uint8_t sector[INTENT_MARK_SIZE], mark[INTENT_MARK_SIZE];
	struct intent intent;
	int r;

	*ret_has_mark = false;
	if (pread(w->fd, sector, sizeof(sector), 0) != (ssize_t)sizeof(sector)) {
		snprintf(why, DISK_WHY_MAX, "cannot be read: %s", strerror(errno ? errno : EIO));
		return -EIO;
	}
	*ret_has_mark = intent_is_mark(sector);
	if (!*ret_has_mark || !w->use_intent)
		return 0;
	r = tpm_open(&tpm);
	if (r < 0) {
		snprintf(why, DISK_WHY_MAX,
			 "formatting was interrupted, but its record cannot be read: no TPM: %s", strerror(-r));
		return r;
	}
	r = intent_read(tpm, &intent);
	if (r < 0)
		snprintf(why, DISK_WHY_MAX, "formatting was interrupted, but its record cannot be read: %s",
			 tpm_reason(tpm));
	if (r <= 0)
		return r;
	intent_mark(&intent, mark);
	return intent_is_for(&intent, &w->disk) && memcmp(mark, sector, sizeof(mark)) == 0;
}

static int make_key(struct work *w, const struct key_source *source, struct new_slot *slot, struct luks_slot *ret)
{
	char why[DISK_WHY_MAX] = "";
	int r = source->make ? source->make(&w->place, &slot->key, &slot->token, why) : -EOPNOTSUPP;

	if (r < 0)
		work_add_reason(w, source, r, source->make ? why : "this source only opens existing volumes");
	else
		*ret = (struct luks_slot){.key = &slot->key, .cost = source->cost, .token = slot->token};
	return r;
}

/* Keys for all of `enroll`; without it for the first of `keys` that has one. The number, or -ENOKEY. */
static int make_keys(struct work *w, struct new_slot made[], struct luks_slot slots[], char names[64])
{
	const struct key_source **sources = w->n_enroll ? w->enroll : w->keys;
	size_t n = w->n_enroll ? w->n_enroll : w->n_keys;
	int count = 0;

	names[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(names);

		if (make_key(w, sources[i], &made[count], &slots[count]) < 0) {
			if (w->n_enroll)
				return -ENOKEY;
			continue;
		}
		snprintf(names + used, 64 - used, "%s%s", used ? ", " : "", sources[i]->name);
		count++;
		if (!w->n_enroll)
			break;
	}
	return count ? count : -ENOKEY;
}

/* Wipes foreign data at the edges of the disk, where this volume writes nothing. */
static int wipe_edges(const struct work *w, int fd)
{
	_cleanup_(cleanup_free) char *zeros = calloc(1, HEAD_SIZE);
	int r;

	if (!zeros)
		return -ENOMEM;
	r = file_write_at(fd, zeros, HEAD_SIZE - INTENT_MARK_SIZE, INTENT_MARK_SIZE);
	if (r == 0)
		r = file_write_at(fd, zeros, BLANK_EDGE, w->disk.size - BLANK_EDGE);
	return r;
}

/* Record and mark: from here on this disk is ours to begin again. */
static int begin(const struct work *w, int fd, bool forced, char why[DISK_WHY_MAX])
{
	_cleanup_(cleanup_tpm) struct tpm *tpm = NULL;
	uint8_t mark[INTENT_MARK_SIZE] = {0};
	struct intent intent;
	int r;

	if (w->use_intent) {
		r = tpm_open(&tpm);
		if (r < 0) {
			snprintf(why, DISK_WHY_MAX, "formatting cannot be recorded: no TPM: %s", strerror(-r));
			return r == -ENOENT || r == -EIO ? -ENODEV : r;
		}
		r = intent_new(&w->disk, &intent);
		if (r == 0)
			r = intent_write(tpm, &intent);
		if (r < 0) {
			snprintf(why, DISK_WHY_MAX, "formatting cannot be recorded: %s",
				 tpm_reason(tpm)[0] ? tpm_reason(tpm) : strerror(-r));
			return r;
		}
		intent_mark(&intent, mark);
	}
	r = w->use_intent || forced ? file_write_at(fd, mark, sizeof(mark), 0) : 0;
	if (r == 0 && forced)
		r = wipe_edges(w, fd);
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	if (r < 0)
		snprintf(why, DISK_WHY_MAX, "write to the disk failed: %s", strerror(-r));
	return r;
}

/* The file system first, the header last. */
static int fill(struct work *w, struct luks *luks, int disk, char why[DISK_WHY_MAX])
{
	_cleanup_(cleanup_close) int volume = -1;
	uint64_t size;
	int r;

	r = luks_activate(luks, w->name, w->ext4.discard, why);
	if (r < 0)
		return r;
	volume = open(w->device, O_RDONLY | O_CLOEXEC);
	if (volume < 0 || ioctl(volume, BLKGETSIZE64, &size) < 0) {
		r = -errno;
		snprintf(why, DISK_WHY_MAX, "%s: %s", w->device, strerror(-r));
		return r;
	}
	r = ext4_make(w->device, size - BLANK_EDGE, w->name, why);
	if (r < 0)
		return r;
	r = fsync(volume) < 0 ? -errno : luks_commit(luks, disk);
	if (r < 0)
		snprintf(why, DISK_WHY_MAX, "header not written: %s", strerror(-r));
	return r;
}

/* A random one (RFC 9562, version 4). The sealed keys name it, so it is there before the volume. */
static int new_uuid(char ret[37])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (uint8_t)(0x40 | (b[6] & 0x0f));
	b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
	for (size_t i = 0; i < sizeof(b); i++)
		ret += sprintf(ret, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
	return 0;
}

int disk_format(struct work *w, const char *state, bool forced)
{
	_cleanup_(free_slots) struct new_slot made[KEY_SOURCES_MAX] = {0};
	_cleanup_(cleanup_luks) struct luks *luks = NULL;
	_cleanup_(cleanup_close) int fd = -1;
	struct luks_slot slots[KEY_SOURCES_MAX];
	char why[DISK_WHY_MAX] = "", how[96], names[64], text[FIND_WHY_MAX + DISK_NAME_MAX + 4], uuid[37];
	int n, r;

	r = new_uuid(uuid);
	if (r < 0)
		return work_give_up(w, STAGE_AGAIN, "no random bytes for a UUID");
	w->place.uuid = uuid;
	n = make_keys(w, made, slots, names);
	if (n < 0)
		return work_leave(w, w->reasons);
	fd = open(w->disk.path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(why, sizeof(why), "%s: %s", w->disk.path, strerror(errno));
		w->worth_retry = true;
		return work_leave(w, why);
	}
	r = luks_format(w->disk.path, w->disk.size, uuid, slots, (size_t)n, &luks, why);
	if (r == 0)
		r = begin(w, fd, forced, why);
	if (r < 0) {
		w->worth_retry = key_error_may_pass(r);
		return work_leave(w, why);
	}
	report_event(EVENT_NOTICE, "%s is %s: formatting, key from %s", work_text(w, text), state, names);
	r = fill(w, luks, fd, why);
	if (r < 0)
		return work_give_up(w, r == -ENOENT || r == -ENOEXEC || r == -EROFS ? STAGE_NEVER : STAGE_AGAIN, why);
	r = disk_close_keys(w, luks, luks_uuid(luks));
	if (r != STAGE_DONE)
		return r;
	work_tell_volume(luks_uuid(luks), names, true);
	luks = luks_close(luks);	/* libcryptsetup keeps a new volume's key in its heap for as long */
	snprintf(how, sizeof(how), "formatted, key from %s", names);
	r = disk_bring_up(w);
	return r == STAGE_DONE ? disk_done(w, how) : r;
}
