/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opens a volume with the first source that has a key, then gives this image the keyslots that `enroll` lists, before
 * finish.c closes the TPM's seals. Nothing is written before a key has proved that the volume is ours.
 */
#define _GNU_SOURCE
#include "open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "finish.h"
#include "luksform.h"
#include "stages/lib/report.h"

#define ENROLL_WAIT_MS 30000	/* for a secret of the hub that a volume which is open already should also have */

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
		work_add_reason(w, source, r, why);
	return r;
}

/* Whether the source's own keyslot is there and serves this image. -ENOKEY: a new one would help. */
static int has_keyslot(struct work *w, struct luks *luks, const struct key_source *source)
{
	_cleanup_secret_ struct secret key = {0};
	char why[DISK_WHY_MAX];
	int keyslot = -1, r;

	if (!luks_form_token(luks_header_of(luks), source->token, &keyslot))
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

/* Another program made the volume, and the source's key opened this keyslot, which no token names yet. */
static int name_keyslot(struct work *w, struct luks *luks, const struct key_source *source, int opened, char *why)
{
	char token[96];
	struct luks_change wanted = {.slot.token = token, .named = opened, .keep = opened};

	snprintf(token, sizeof(token), "{\"type\":\"%s\",\"keyslots\":[]}", source->token);
	return change(w, luks, &wanted, why);
}

/*
 * Adds the keyslots that `enroll` lists. A failure is reported and the boot goes on: the volume is open, and the next
 * boot tries again.
 */
static void enroll_all(struct work *w, struct luks *luks, const struct key_source *by, int opened)
{
	w->place.artifact_wait_ms = ENROLL_WAIT_MS;
	w->place.is_open = true;
	w->place.uuid = luks_header_of(luks)->uuid;
	for (size_t i = 0; i < w->n_enroll; i++) {
		const struct key_source *source = w->enroll[i];
		char why[DISK_WHY_MAX] = "";
		int r;

		if (source == by && luks_form_names(luks_header_of(luks), opened))
			continue;
		r = source == by ? 0 : has_keyslot(w, luks, source);
		if (source == by)
			r = name_keyslot(w, luks, source, opened, why);
		else if (r == -ENOKEY)
			r = enroll(w, luks, source, opened, why);
		else
			continue;
		if (r == 0)
			report_event(EVENT_NOTICE, "added a keyslot for %s", source->name);
		else
			report_event(EVENT_WARNING, "keyslot for %s not added: %s", source->name, why);
		if (r == -EIO)	/* it is not known which copy of the header is whole: none is written over */
			break;
	}
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
	report_event(r < 0 ? EVENT_WARNING : EVENT_NOTICE, "%s header copy %s%s",
		     luks_header_of(luks)->copies == LUKS_COPIES_PRIMARY ? "secondary" : "primary",
		     r < 0 ? "cannot be repaired: " : "was damaged or outdated: repaired",
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
		return work_leave(w, why);
	}
	if (repair(w, luks))
		enroll_all(w, luks, w->keys[i], keyslot);
	r = disk_close_keys(w, luks, luks_header_of(luks)->uuid, why);
	if (r < 0)
		return work_give_up(w, STAGE_AGAIN, why);
	work_tell_volume(luks_header_of(luks)->uuid, w->keys[i]->name, false);
	snprintf(how, sizeof(how), "opened by %s", w->keys[i]->name);
	return disk_finish(w, how);
}

int disk_resume(struct work *w, struct luks *luks)
{
	char why[DISK_WHY_MAX] = "";
	int r;

	report_event(EVENT_INFO, "volume %s is already open", w->name);
	work_tell_found(w);
	report_fact("luks_uuid", "%s", luks_header_of(luks)->uuid);
	r = disk_close_keys(w, NULL, luks_header_of(luks)->uuid, why);
	return r < 0 ? work_give_up(w, STAGE_AGAIN, why) : disk_finish(w, "opened before");
}
