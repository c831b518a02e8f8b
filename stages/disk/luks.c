/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parameters: a key of full entropy loses nothing by pbkdf2 with its least iterations and opens in milliseconds;
 * 4096-byte sectors and no work queues are what dm-crypt is fastest with. libcryptsetup sees a detached header in a
 * memfd by its /proc path, which needs no loop device and no locks.
 */
#define _GNU_SOURCE
#include "luks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libcryptsetup.h>
#include <libdevmapper.h>
#include <mbedtls/md.h>

#include <gantry/cleanup.h>

#include "luksform.h"
#include "luksread.h"
#include "stages/lib/dm.h"
#include "stages/lib/file.h"

#define CIPHER          "aes"
#define CIPHER_MODE     "xts-plain64"
#define KEY_SIZE        64			/* bytes: two 256-bit keys */
#define COPY_SIZE       (16u << 10)
#define DATA_OFFSET     (2u << 20)		/* room for 7 keyslots of 252 KiB; an eighth of the usual to wipe */
#define HASH            "sha512"		/* makes 64 bytes at once, so half as many calls as sha256 */
#define ITERATIONS      1000			/* libcryptsetup's least */
#define ARGON2_TIME     4
#define ARGON2_KIB      (64u << 10)
#define WRITE_ATOMIC    512			/* bytes that every disk writes whole or not at all */

static const struct luks_expect expected = {.cipher = CIPHER "-" CIPHER_MODE, .key_size = KEY_SIZE};

struct luks {
	struct crypt_device *device;
	struct luks_header header;	/* zero in a new volume */
	uint8_t *copies;		/* both of them, as on the disk but mended; NULL in a new or changed volume */
	int header_fd;
	char path[64];			/* of the disk */
	uint64_t size;			/* of the disk, bytes */
	struct secret volume_key;	/* once unlocked, or new */
	char message[LUKS_WHY_MAX];	/* libcryptsetup's latest error */
};

static void log_message(int level, const char *text, void *context)
{
	struct luks *luks = context;

	if (level != CRYPT_LOG_ERROR || !luks)
		return;
	snprintf(luks->message, sizeof(luks->message), "%s", text);
	luks->message[strcspn(luks->message, "\n")] = '\0';
}

static int explain(struct luks *luks, const char *what, int r, char *why)
{
	if (luks->message[0])
		snprintf(why, LUKS_WHY_MAX, "%s: %.120s", what, luks->message);
	else
		snprintf(why, LUKS_WHY_MAX, "%s: %s", what, strerror(-r));
	return r;
}

static int copy_range(int from, int to, uint64_t offset, uint64_t size)
{
	_cleanup_(cleanup_free) char *bytes = malloc(size);
	int r;

	if (!bytes)
		return -ENOMEM;
	r = file_read_at(from, bytes, size, offset);
	return r < 0 ? r : file_write_at(to, bytes, size, offset);
}

static int header_file(uint64_t size, int *ret_fd)
{
	int fd = memfd_create("luks-header", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int new_luks(const char *path, uint64_t size, struct luks **ret)
{
	struct luks *luks = calloc(1, sizeof(*luks));

	if (!luks)
		return -ENOMEM;
	snprintf(luks->path, sizeof(luks->path), "%s", path);
	luks->size = size;
	luks->header_fd = -1;
	*ret = luks;
	return 0;
}

struct luks *luks_close(struct luks *luks)
{
	if (!luks)
		return NULL;
	crypt_free(luks->device);
	free(luks->copies);
	secret_wipe(&luks->volume_key);
	if (luks->header_fd >= 0)
		close(luks->header_fd);
	free(luks);
	return NULL;
}

const struct luks_header *luks_header_of(const struct luks *luks)
{
	return &luks->header;
}

const char *luks_uuid(const struct luks *luks)
{
	return crypt_get_uuid(luks->device);
}

/* path: of the disk, or of what stands for it. */
static int init_device(struct luks *luks, const char *path)
{
	char header_path[40];
	int r;

	snprintf(header_path, sizeof(header_path), "/proc/self/fd/%d", luks->header_fd);
	/* No other process has this header, so it needs no lock. */
	(void)crypt_metadata_locking(NULL, 0);
	crypt_set_log_callback(NULL, log_message, luks);
	r = crypt_init_data_device(&luks->device, header_path, path);
	/* The default callback would print; and ours without a context must not outlive this object. */
	crypt_set_log_callback(NULL, log_message, NULL);
	if (r < 0)
		return r;
	crypt_set_log_callback(luks->device, log_message, luks);
	return 0;
}

/* A header of the same content as the disk's, and the keyslots it names, and nothing else, in a sealed memfd. */
static int make_header(int fd, struct luks *luks, char *why)
{
	const size_t size = 2 * luks->header.copy_size;
	_cleanup_(cleanup_free) uint8_t *copies = malloc(size);
	int r;

	if (!copies)
		return -ENOMEM;
	r = luks_form_write(&luks->header, &expected, 0, copies, why);
	if (r == 0)
		r = header_file(luks->header.data_offset, &luks->header_fd);
	if (r == 0)
		r = file_write_at(luks->header_fd, copies, size, 0);
	for (unsigned i = 0; r == 0 && i < LUKS_KEYSLOTS_MAX; i++)
		if (luks->header.keyslots & 1u << i)
			r = copy_range(fd, luks->header_fd, luks->header.slots[i].area.offset,
				       luks->header.slots[i].area.size);
	if (r < 0)
		return r;
	return fcntl(luks->header_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0 ?
		-errno : 0;
}

/* Reads both copies once, has them read by the child, and makes the header that is used. 1, 0: there is none. */
static int copy_header(int fd, uint64_t size, struct luks *luks, char *why)
{
	int r;

	if (size < LUKS_HEADS_SIZE)
		return 0;
	luks->copies = malloc(LUKS_HEADS_SIZE);
	if (!luks->copies)
		return -ENOMEM;
	r = file_read_at(fd, luks->copies, LUKS_HEADS_SIZE, 0);
	if (r == 0)
		r = luks_read(luks->copies, size, &expected, &luks->header, why);
	if (r <= 0)
		return r;
	if (luks_header_mend(&luks->header, luks->copies) < 0)
		return luks_refuse(why, "its reader chose a damaged copy");
	r = make_header(fd, luks, why);
	return r < 0 ? r : 1;
}

/* libcryptsetup must find in the header what it was made of. */
static int check_loaded(struct luks *luks, char *why)
{
	const char *cipher = crypt_get_cipher(luks->device), *mode = crypt_get_cipher_mode(luks->device);

	if (!cipher || !mode || strcmp(cipher, CIPHER) != 0 || strcmp(mode, CIPHER_MODE) != 0) {
		snprintf(why, LUKS_WHY_MAX, "cipher \"%.40s-%.40s\" is not %s", cipher ? cipher : "", mode ? mode : "",
			 expected.cipher);
		return -EBADMSG;
	}
	if (crypt_get_volume_key_size(luks->device) != KEY_SIZE ||
	    crypt_get_sector_size(luks->device) != (int)luks->header.sector_size ||
	    crypt_get_data_offset(luks->device) != luks->header.data_offset / 512) {
		snprintf(why, LUKS_WHY_MAX, "libcryptsetup reads the header differently");
		return -EBADMSG;
	}
	return 1;
}

int luks_open(int fd, const char *path, uint64_t size, struct luks **ret, char why[LUKS_WHY_MAX])
{
	_cleanup_(cleanup_luks) struct luks *luks = NULL;
	int r;

	why[0] = '\0';
	r = new_luks(path, size, &luks);
	if (r < 0)
		return r;
	r = copy_header(fd, size, luks, why);
	if (r < 0 && r != -EBADMSG) {
		char cause[LUKS_WHY_MAX];

		snprintf(cause, sizeof(cause), "%s", why[0] ? why : strerror(-r));
		snprintf(why, LUKS_WHY_MAX, "cannot be read: %.120s", cause);
	}
	if (r <= 0)
		return r;
	r = init_device(luks, path);
	if (r == 0)
		r = crypt_load(luks->device, CRYPT_LUKS2, NULL);
	if (r < 0) {
		explain(luks, "libcryptsetup", r, why);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	r = check_loaded(luks, why);
	if (r > 0) {
		*ret = luks;
		luks = NULL;
	}
	return r;
}

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
	int r = secret_new(KEY_SIZE, &luks->volume_key);

	if (r == 0 && getrandom(luks->volume_key.bytes, KEY_SIZE, 0) != KEY_SIZE)
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
		r = crypt_format(luks->device, CRYPT_LUKS2, CIPHER, CIPHER_MODE, uuid,
				 (const char *)luks->volume_key.bytes, KEY_SIZE, &parameters);
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
	r = new_luks(path, size, &luks);
	if (r == 0)
		r = header_file(DATA_OFFSET, &luks->header_fd);
	if (r == 0)
		r = header_file(size / LUKS_SECTOR_NEW * LUKS_SECTOR_NEW, &hole);
	if (r < 0) {
		snprintf(why, LUKS_WHY_MAX, "memory for a header: %s", strerror(-r));
		return r;
	}
	snprintf(hole_path, sizeof(hole_path), "/proc/self/fd/%d", hole);
	r = init_device(luks, hole_path);
	if (r == 0)
		r = format_header(luks, hole_path, uuid, slots, n_slots);
	if (r < 0)
		return explain(luks, "format", r, why);
	*ret = luks;
	luks = NULL;
	return 0;
}

static int try_keyslot(struct luks *luks, unsigned keyslot, const struct secret *key)
{
	_cleanup_secret_ struct secret volume_key = {0};
	size_t size = KEY_SIZE;
	int r = secret_new(KEY_SIZE, &volume_key);

	if (r == 0)
		r = crypt_volume_key_get(luks->device, (int)keyslot, (char *)volume_key.bytes, &size,
					 (const char *)key->bytes, key->size);
	if (r == -ENOENT)
		return -EPERM;
	if (r < 0 || size != KEY_SIZE)
		return r < 0 ? r : -EIO;
	secret_wipe(&luks->volume_key);
	luks->volume_key = volume_key;
	volume_key = (struct secret){0};
	return 0;
}

/* Those of a set, in the order of their numbers. An error of one keyslot does not say that the key fits none. */
static int try_keyslots(struct luks *luks, uint32_t keyslots, const struct secret *key, int *ret_keyslot)
{
	int result = -EPERM;

	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++) {
		int r = keyslots & 1u << i ? try_keyslot(luks, i, key) : -EPERM;

		if (r == 0) {
			*ret_keyslot = (int)i;
			return 0;
		}
		if (result == -EPERM)
			result = r;
	}
	return result;
}

int luks_unlock(struct luks *luks, uint32_t first, const struct secret *key, int *ret_keyslot, char why[LUKS_WHY_MAX])
{
	uint32_t others = luks->header.keyslots & ~first;
	int r, also;

	/* Priority 0: to be tried only where it is asked for. */
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (luks->header.slots[i].priority == 0)
			others &= ~(1u << i);
	luks->message[0] = '\0';
	r = try_keyslots(luks, luks->header.keyslots & first, key, ret_keyslot);
	if (r < 0) {
		also = try_keyslots(luks, others, key, ret_keyslot);
		if (also == 0 || r == -EPERM)
			r = also;
	}
	if (r == -EPERM)
		snprintf(why, LUKS_WHY_MAX, "wrong key");
	else if (r < 0)
		explain(luks, "keyslot", r, why);
	return r;
}

int luks_proof(const struct luks *luks, const char *text, uint8_t ret[32])
{
	const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);

	if (luks->volume_key.size != KEY_SIZE)
		return -EIO;
	return mbedtls_md_hmac(sha256, luks->volume_key.bytes, luks->volume_key.size, (const unsigned char *)text,
			       strlen(text), ret) == 0 ? 0 : -EIO;
}

/*
 * The header by which the volume is activated: without tokens and keyslots' contents, and with a segment that ends with
 * the last whole sector of the disk, whose size may be anything. No such header goes to the disk.
 */
static int make_bounds(const struct luks *luks, struct luks *ret)
{
	_cleanup_(cleanup_free) uint8_t *bytes = malloc(LUKS_HEADS_SIZE);
	char why[LUKS_WHY_MAX];	/* of a reader's: there is a key, so no text of it goes further */
	uint64_t sectors;
	int r = 1;

	if (!bytes)
		return -ENOMEM;
	ret->header = luks->header;
	if (!ret->header.data_offset) {	/* a new volume: its header was not read yet */
		r = file_read_at(luks->header_fd, bytes, LUKS_HEADS_SIZE, 0);
		if (r == 0)
			r = luks_read(bytes, UINT64_MAX, &expected, &ret->header, why);
	}
	if (r <= 0 || luks->size <= ret->header.data_offset)
		return r < 0 ? r : -EBADMSG;
	sectors = (luks->size - ret->header.data_offset) / ret->header.sector_size;
	if (!sectors)
		return -ENOSPC;
	memset(ret->header.tokens, 0, sizeof(ret->header.tokens));
	r = luks_form_write(&ret->header, &expected, sectors * ret->header.sector_size, bytes, why);
	if (r == 0)
		r = header_file(ret->header.data_offset, &ret->header_fd);
	return r < 0 ? r : file_write_at(ret->header_fd, bytes, 2 * ret->header.copy_size, 0);
}

int luks_activate(struct luks *luks, const char *name, bool discards, char why[LUKS_WHY_MAX])
{
	const uint32_t flags = CRYPT_ACTIVATE_NO_READ_WORKQUEUE | CRYPT_ACTIVATE_NO_WRITE_WORKQUEUE |
			       (discards ? CRYPT_ACTIVATE_ALLOW_DISCARDS : 0);
	_cleanup_(cleanup_luks) struct luks *bounds = NULL;
	int r = new_luks(luks->path, luks->size, &bounds);

	if (r < 0)
		return explain(luks, "activate", r, why);
	r = make_bounds(luks, bounds);
	if (r == 0)
		r = init_device(bounds, luks->path);
	if (r == 0)
		r = crypt_load(bounds->device, CRYPT_LUKS2, NULL);
	if (r == 0)
		r = crypt_activate_by_volume_key(bounds->device, name, (const char *)luks->volume_key.bytes,
						 luks->volume_key.size, flags);
	return r < 0 ? explain(bounds, "activate", r, why) : 0;
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
			r = copy_range(from, to, parts[i].from, parts[i].to - parts[i].from);
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

	r = new_luks(luks->path, luks->size, &copy);
	if (r == 0)
		r = header_file(luks->header.data_offset, &copy->header_fd);
	if (r == 0)
		r = copy_range(luks->header_fd, copy->header_fd, 0, luks->header.data_offset);
	if (r == 0)
		r = init_device(copy, luks->path);
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
		r = luks_read(bytes, UINT64_MAX, &expected, header, why);
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
	crypt_set_log_callback(luks->device, log_message, luks);
	crypt_set_log_callback(changed->device, log_message, changed);
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
		return changed ? explain(changed, "new keyslot", r, why) : explain(luks, "copy of the header", r, why);
	r = write_change(luks, changed, fd);
	if (r < 0)
		snprintf(why, LUKS_WHY_MAX, "header not written: %s", strerror(-r));
	else
		adopt(luks, changed);
	return r;
}

/* "CRYPT-LUKS2-", the UUID without its dashes, "-", the name: as libcryptsetup names its devices. */
bool luks_is_active(const char *name, const char *uuid)
{
	char wanted[160] = "CRYPT-LUKS2-", found[160];
	size_t n = strlen(wanted);

	for (; *uuid && n + 1 < sizeof(wanted); uuid++)
		if (*uuid != '-')
			wanted[n++] = *uuid;
	wanted[n] = '\0';
	snprintf(wanted + n, sizeof(wanted) - n, "-%s", name);
	dm_be_quiet();
	return dm_find(name, found, sizeof(found)) > 0 && strcmp(found, wanted) == 0;
}

int luks_deactivate(const char *name)
{
	char uuid[160];
	int r;

	dm_be_quiet();
	r = dm_find(name, uuid, sizeof(uuid));
	if (r <= 0)
		return r;
	return dm_do(DM_DEVICE_REMOVE, name) ? 0 : -EBUSY;
}
