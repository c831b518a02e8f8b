/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements lukswrite.h. The parameters: a key of full entropy loses nothing by pbkdf2 with its least iterations and
 * opens in milliseconds; 4096-byte sectors are what dm-crypt is fastest with.
 */
#define _GNU_SOURCE
#include "lukswrite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>

#include "luksread.h"
#include "luksvolume.h"
#include "stages/lib/file.h"

#define COPY_SIZE    (16u << 10)
#define DATA_OFFSET  (2u << 20)		/* room for 7 keyslots of 252 KiB; an eighth of the usual to wipe */
#define HASH         "sha512"		/* makes 64 bytes at once, so half as many calls as sha256 */
#define ITERATIONS   1000		/* libcryptsetup's least */
#define ARGON2_TIME  4
#define ARGON2_KIB   (64u << 10)
#define WRITE_ATOMIC 512		/* bytes that every disk writes whole or not at all */

static int set_cost(struct crypt_device *device, enum luks_cost cost)
{
	static const struct crypt_pbkdf_type costs[] = {
		[LUKS_COST_NONE] = {.type = CRYPT_KDF_PBKDF2, .hash = HASH, .iterations = ITERATIONS,
				    .flags = CRYPT_PBKDF_NO_BENCHMARK},
		[LUKS_COST_MUCH] = {.type = CRYPT_KDF_ARGON2ID, .hash = HASH, .iterations = ARGON2_TIME,
				    .max_memory_kb = ARGON2_KIB, .parallel_threads = 1,
				    .flags = CRYPT_PBKDF_NO_BENCHMARK},
	};

	return crypt_set_pbkdf_type(device, &costs[cost]);
}

/* The token with that keyslot and no other. */
static int set_token(struct crypt_device *device, const char *text, int keyslot)
{
	struct json_object *token = json_tokener_parse(text), *list = json_object_new_array();
	char number[16];
	int r = -ENOMEM;

	snprintf(number, sizeof(number), "%d", keyslot);
	if (token && list) {
		json_object_array_add(list, json_object_new_string(number));
		json_object_object_add(token, "keyslots", list);
		list = NULL;
		r = crypt_token_json_set(device, CRYPT_ANY_TOKEN,
					 json_object_to_json_string_ext(token, JSON_C_TO_STRING_PLAIN));
	}
	json_object_put(list);
	json_object_put(token);
	return r < 0 ? r : 0;
}

/* volume_key NULL: of a device that was just formatted. The keyslot, or negative errno. */
static int add_slot(struct crypt_device *device, const struct secret *volume_key, const struct luks_slot *slot)
{
	int r = set_cost(device, slot->cost), keyslot;

	if (r < 0)
		return r;
	keyslot = crypt_keyslot_add_by_volume_key(device, CRYPT_ANY_SLOT, volume_key ? (char *)volume_key->bytes : NULL,
						  volume_key ? volume_key->size : 0, (const char *)slot->key->bytes,
						  slot->key->size);
	if (keyslot >= 0 && slot->token)
		r = set_token(device, slot->token, keyslot);
	return keyslot < 0 ? keyslot : r < 0 ? r : keyslot;
}

static int new_volume_key(struct luks *luks)
{
	int r = secret_new(LUKSVOLUME_KEY_SIZE, &luks->volume_key);

	if (r == 0 && getrandom(luks->volume_key.bytes, LUKSVOLUME_KEY_SIZE, 0) != LUKSVOLUME_KEY_SIZE)
		r = -EIO;
	return r;
}

static int format_header(struct luks *luks, const char *path, const char *uuid, const struct luks_slot *slots,
			 size_t n_slots)
{
	struct crypt_params_luks2 parameters = {.data_device = path, .sector_size = LUKS_SECTOR_NEW};
	int r;

	r = new_volume_key(luks);
	if (r == 0)
		r = set_cost(luks->device, LUKS_COST_NONE);
	if (r == 0)
		r = crypt_set_metadata_size(luks->device, COPY_SIZE, DATA_OFFSET - 2 * COPY_SIZE);
	if (r == 0)
		r = crypt_set_data_offset(luks->device, DATA_OFFSET / 512);
	if (r == 0)
		r = crypt_format(luks->device, CRYPT_LUKS2, LUKSVOLUME_CIPHER_NAME, LUKSVOLUME_CIPHER_MODE, uuid,
				 (const char *)luks->volume_key.bytes, LUKSVOLUME_KEY_SIZE, &parameters);
	for (size_t i = 0; i < n_slots && r >= 0; i++)
		r = add_slot(luks->device, NULL, &slots[i]);
	return r < 0 ? r : 0;
}

/* libcryptsetup refuses a size that is no multiple of a sector, so a hole of the whole sectors stands for the disk. */
int luks_format(const char *path, uint64_t size, const char *uuid, const struct luks_slot *slots, size_t n_slots,
		struct luks **ret, char why[LUKS_WHY_MAX])
{
	_cleanup_(cleanup_luks) struct luks *luks = NULL;
	_cleanup_(cleanup_close) int hole = -1;
	char hole_path[40];
	int r;

	if (size < 2 * DATA_OFFSET) {
		snprintf(why, LUKS_WHY_MAX, "disk is too small");
		return -ENOSPC;
	}
	r = luksvolume_new(path, size, &luks);
	if (r == 0)
		r = luksvolume_memory(DATA_OFFSET, &luks->header_fd);
	if (r == 0)
		r = luksvolume_memory(size / LUKS_SECTOR_NEW * LUKS_SECTOR_NEW, &hole);
	if (r < 0) {
		snprintf(why, LUKS_WHY_MAX, "memory for a header: %s", strerror(-r));
		return r;
	}
	snprintf(hole_path, sizeof(hole_path), "/proc/self/fd/%d", hole);
	r = luksvolume_attach(luks, hole_path);
	if (r == 0)
		r = format_header(luks, hole_path, uuid, slots, n_slots);
	if (r < 0)
		return luksvolume_explain(luks, "format", r, why);
	*ret = luks;
	luks = NULL;
	return 0;
}

const char *luks_uuid(const struct luks *luks)
{
	return crypt_get_uuid(luks->device);
}

/* Parts of a file to the same places of another, synced. */
struct part {
	uint64_t from, to;
};

static int write_parts(int from, int to, const struct part *parts, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (parts[i].from < parts[i].to)
			r = luksvolume_copy(from, to, parts[i].from, parts[i].to - parts[i].from);
		if (r == 0 && fdatasync(to) < 0)
			r = -errno;
	}
	return r;
}

int luks_commit(struct luks *luks, int fd)
{
	static const struct part parts[] = {
		{2 * COPY_SIZE, DATA_OFFSET}, {COPY_SIZE, 2 * COPY_SIZE}, {WRITE_ATOMIC, COPY_SIZE}, {0, WRITE_ATOMIC},
	};
	sigset_t all, before;
	int r;

	/* A shutdown that begins just now waits for these few milliseconds. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	r = write_parts(luks->header_fd, fd, parts, sizeof(parts) / sizeof(*parts));
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

int luks_repair(struct luks *luks, int fd)
{
	const uint64_t size = luks->header.copy_size;
	const uint64_t at = luks->header.copies == LUKS_COPIES_PRIMARY ? size : 0;
	int r;

	if (luks->header.copies == LUKS_COPIES_BOTH || !luks->copies)
		return 0;
	r = file_write_at(fd, luks->copies + at, size, at);
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	return r < 0 ? r : 1;
}

/* The type of token I, or NULL: there is none. */
static const char *token_type(struct crypt_device *device, int i)
{
	const char *type = NULL;

	return crypt_token_status(device, i, &type) < CRYPT_TOKEN_INTERNAL ? NULL : type;
}

/* Whether a token of another type names the keyslot: then it is not of the replaced ones alone. */
static bool serves_another(struct crypt_device *device, int keyslot, const char *replaced)
{
	for (int i = 0; i < LUKS_TOKENS_MAX; i++) {
		const char *type = token_type(device, i);

		if (type && strcmp(type, replaced) != 0 && crypt_token_is_assigned(device, i, keyslot) == 0)
			return true;
	}
	return false;
}

/* Tokens of a type that name another keyslot than these two go, and their keyslots with them. */
static int remove_replaced(struct crypt_device *device, const struct luks_change *change, int added)
{
	uint32_t keyslots = 0;

	for (int i = 0; i < LUKS_TOKENS_MAX; i++) {
		const char *type = token_type(device, i);

		if (!type || strcmp(type, change->replaces) != 0 || crypt_token_is_assigned(device, i, added) == 0)
			continue;
		for (int n = 0; n < LUKS_KEYSLOTS_MAX; n++)
			if (crypt_token_is_assigned(device, i, n) == 0)
				keyslots |= 1u << n;
		if (crypt_token_json_set(device, i, NULL) < 0)
			return -EIO;
	}
	for (int n = 0; n < LUKS_KEYSLOTS_MAX; n++)
		if (keyslots & 1u << n && n != change->keep && n != added &&
		    !serves_another(device, n, change->replaces) && crypt_keyslot_destroy(device, n) < 0)
			return -EIO;
	return 0;
}

/* A second volume object over a copy of the header that may be changed. */
static int copy_volume(struct luks *luks, struct luks **ret)
{
	_cleanup_(cleanup_luks) struct luks *copy = NULL;
	int r;

	r = luksvolume_new(luks->path, luks->size, &copy);
	if (r == 0)
		r = luksvolume_memory(luks->header.data_offset, &copy->header_fd);
	if (r == 0)
		r = luksvolume_copy(luks->header_fd, copy->header_fd, 0, luks->header.data_offset);
	if (r == 0)
		r = luksvolume_attach(copy, luks->path);
	if (r == 0)
		r = crypt_load(copy->device, CRYPT_LUKS2, NULL);
	if (r == 0) {
		*ret = copy;
		copy = NULL;
	}
	return r;
}

/*
 * New keyslots first, where the old header has nothing; then the copies one after the other, so that one of them is
 * whole at any moment; last what the new header does not name any more is wiped.
 */
static int write_change(const struct luks *luks, struct luks *changed, int fd)
{
	const uint64_t size = luks->header.copy_size, end = luks->header.data_offset;
	_cleanup_(cleanup_free) uint8_t *bytes = malloc((size_t)end);
	struct luks_header *header = &changed->header;
	struct part parts[2 * LUKS_KEYSLOTS_MAX + 2];
	char why[LUKS_WHY_MAX];
	size_t n = 0;
	int r;

	if (!bytes)
		return -ENOMEM;
	r = file_read_at(changed->header_fd, bytes, (size_t)end, 0);
	/* The header written must be one this stage opens; its UUID becomes a fact, so the reader has no say in it. */
	if (r == 0)
		r = luks_read(bytes, UINT64_MAX, &luksvolume_expected, header, why);
	if (r == 0 || (r > 0 && (header->copies != LUKS_COPIES_BOTH || header->copy_size != size ||
				 header->data_offset != end || strcmp(header->uuid, luks->header.uuid) != 0)))
		r = -EBADMSG;
	if (r < 0)
		return r;
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (header->keyslots & ~luks->header.keyslots & 1u << i)
			parts[n++] = (struct part){header->slots[i].area.offset,
						   header->slots[i].area.offset + header->slots[i].area.size};
	parts[n++] = (struct part){size, 2 * size};
	parts[n++] = (struct part){0, size};
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (luks->header.keyslots & ~header->keyslots & 1u << i)
			parts[n++] = (struct part){luks->header.slots[i].area.offset,
						   luks->header.slots[i].area.offset + luks->header.slots[i].area.size};
	return write_parts(changed->header_fd, fd, parts, n);
}

/* The volume goes on with the changed header. */
static void adopt(struct luks *luks, struct luks *changed)
{
	struct luks before = *luks;

	luks->device = changed->device;
	luks->header = changed->header;
	luks->header_fd = changed->header_fd;
	luks->copies = changed->copies;
	changed->copies = before.copies;
	changed->device = before.device;
	changed->header = before.header;
	changed->header_fd = before.header_fd;
	luksvolume_listen(luks);
	luksvolume_listen(changed);
}

int luks_change(struct luks *luks, const struct luks_change *change, int fd, char why[LUKS_WHY_MAX])
{
	_cleanup_(cleanup_luks) struct luks *changed = NULL;
	int r, added = change->named;

	r = copy_volume(luks, &changed);
	if (r == 0 && change->slot.key) {
		added = add_slot(changed->device, &luks->volume_key, &change->slot);
		r = added < 0 ? added : 0;
	} else if (r == 0 && change->slot.token) {
		r = set_token(changed->device, change->slot.token, added);
	}
	if (r == 0 && change->replaces)
		r = remove_replaced(changed->device, change, added);
	if (r < 0)
		return changed ? luksvolume_explain(changed, "new keyslot", r, why) :
				 luksvolume_explain(luks, "copy of the header", r, why);
	r = write_change(luks, changed, fd);
	if (r < 0)
		snprintf(why, LUKS_WHY_MAX, "header not written: %s", strerror(-r));
	else
		adopt(luks, changed);
	return r;
}
