/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opens a volume with the first source that has a key, then gives this image the keyslots that `enroll` lists: those
 * whose keys the TPM seals before finish.c closes its seals, those of the hub when the volume is mounted, since they
 * may have to be waited for. Nothing is written before a key has proved that the volume is ours.
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
#include "luksdevice.h"
#include "luksform.h"
#include "stages/lib/report.h"

#define ENROLL_WAIT_MS 30000	/* for a secret of the hub that a volume which is open already should also have */

/* One key of a source: its only one (token NULL), or that of a token. 0: the volume is unlocked by it. */
static int unlock_by(struct work *w, struct luks *luks, const struct key_source *source,
		     const struct luks_token *token, int *ret_keyslot)
{
	const struct luks_header *header = luks_header_of(luks);
	_cleanup_secret_ struct secret key = {0};
	char why[DISK_WHY_MAX] = "";
	int r = source->get(&w->place, header, token, &key, why);

	if (r == 0)
		r = luks_unlock(luks, token ? token->keyslots : luks_form_keyslots(header, source->token), &key,
				ret_keyslot, why);
	if (r < 0)
		work_add_reason(w, source, r, why);
	return r;
}

/* Tries one source, with each of its keys. 0: the volume is unlocked by it. */
static int unlock_with(struct work *w, struct luks *luks, const struct key_source *source, int *ret_keyslot)
{
	const struct luks_token *token = NULL;
	int r = -ENOKEY;

	if (!source->in_token)
		return unlock_by(w, luks, source, NULL, ret_keyslot);
	if (!luks_form_token(luks_header_of(luks), source->token, NULL))
		work_add_reason(w, source, r, "no sealed key in the header");
	while (r < 0 && (token = luks_form_token(luks_header_of(luks), source->token, token)))
		r = unlock_by(w, luks, source, token, ret_keyslot);
	return r;
}

/*
 * Whether a key of the source opens the volume, and which keyslot (*ret_keyslot). -ENOKEY: a new keyslot would help;
 * any other error: that is not known.
 */
static int has_keyslot(struct work *w, struct luks *luks, const struct key_source *source, int *ret_keyslot,
		       char why[DISK_WHY_MAX])
{
	const struct luks_header *header = luks_header_of(luks);
	const struct luks_token *token = NULL;
	int r = -ENOKEY;

	do {
		_cleanup_secret_ struct secret key = {0};

		if (source->in_token && !(token = luks_form_token(header, source->token, token)))
			break;
		r = source->get(&w->place, header, token, &key, why);
		if (r < 0 && (key_error_may_pass(r) || !source->in_token))
			return r == -ENOKEY ? -ENOENT : r;
		if (r == 0)
			r = luks_unlock(luks, token ? token->keyslots : luks_form_keyslots(header, source->token),
					&key, ret_keyslot, why);
		if (r < 0 && key_error_may_pass(r))
			return r;
	} while (r < 0 && source->in_token);
	return r < 0 ? -ENOKEY : 0;
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

/* The source's key opens this keyslot, which no token names yet: another program made it. */
static int name_keyslot(struct work *w, struct luks *luks, const struct key_source *source, int opened, char *why)
{
	char token[96];
	struct luks_change wanted = {.slot.token = token, .named = opened, .keep = opened};

	snprintf(token, sizeof(token), "{\"type\":\"%s\",\"keyslots\":[]}", source->token);
	return change(w, luks, &wanted, why);
}

/* One source of `enroll`. -EIO: it is not known which copy of the header is whole, so none is written over. */
static int enroll_one(struct work *w, struct luks *luks, const struct key_source *source, bool opens, int opened)
{
	const bool had = luks_form_keyslots(luks_header_of(luks), source->token);
	char why[DISK_WHY_MAX] = "";
	int r = 0, keyslot = opened;

	if (!opens)
		r = has_keyslot(w, luks, source, &keyslot, why);
	if (r == 0 && luks_form_names(luks_header_of(luks), keyslot))
		return 0;
	if (r == 0) {
		r = name_keyslot(w, luks, source, keyslot, why);
	} else if (r == -ENOKEY) {
		if (had && !source->in_token)
			report_event(EVENT_WARNING, "%s has another key than the keyslot for it: making a new one",
				     source->name);
		r = enroll(w, luks, source, opened, why);
	} else {
		report_event(EVENT_WARNING, "keyslot for %s not %s: %s", source->name, had ? "checked" : "added", why);
		return 0;
	}
	if (r == 0)
		report_event(EVENT_NOTICE, "added a keyslot for %s", source->name);
	else
		report_event(EVENT_WARNING, "keyslot for %s not added: %s", source->name, why);
	return r;
}

/*
 * Checks and adds the keyslots that `enroll` lists: those of keys that are `in_token`, or the others. A failure is
 * reported and the boot goes on: the volume is open, and the next boot tries again. False: none may be added any more.
 */
static bool enroll_all(struct work *w, struct luks *luks, const struct key_source *by, int opened, bool in_token)
{
	w->place.artifact_wait_ms = ENROLL_WAIT_MS;
	w->place.is_open = true;
	w->place.uuid = luks_header_of(luks)->uuid;
	for (size_t i = 0; i < w->n_enroll; i++)
		if (w->enroll[i]->in_token == in_token &&
		    enroll_one(w, luks, w->enroll[i], w->enroll[i] == by, opened) == -EIO)
			return false;
	return true;
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
	bool may_enroll;
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
	may_enroll = repair(w, luks) && enroll_all(w, luks, w->keys[i], keyslot, true);
	r = disk_close_keys(w, luks, luks_header_of(luks)->uuid);
	if (r != STAGE_DONE)
		return r;
	work_tell_volume(luks_header_of(luks)->uuid, w->keys[i]->name, false);
	r = disk_bring_up(w);
	if (r != STAGE_DONE)
		return r;
	if (may_enroll)
		(void)enroll_all(w, luks, w->keys[i], keyslot, false);
	snprintf(how, sizeof(how), "opened by %s", w->keys[i]->name);
	return disk_done(w, how);
}

int disk_resume(struct work *w, struct luks *luks)
{
	int r;

	report_event(EVENT_INFO, "volume %s is already open", w->name);
	work_tell_found(w);
	report_fact("luks_uuid", "%s", luks_header_of(luks)->uuid);
	r = disk_close_keys(w, NULL, luks_header_of(luks)->uuid);
	if (r == STAGE_DONE)
		r = disk_bring_up(w);
	return r == STAGE_DONE ? disk_done(w, "opened before") : r;
}
