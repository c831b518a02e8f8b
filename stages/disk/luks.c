/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements luks.h. */
#define _GNU_SOURCE
#include "luks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/md.h>

#include <gantry/cleanup.h>

#include "luksread.h"
#include "luksvolume.h"
#include "stages/lib/file.h"

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

/* A header of the same content as the disk's, and the keyslots it names, and nothing else, in a sealed memfd. */
static int make_header(int fd, struct luks *luks, char *why)
{
	const size_t size = 2 * luks->header.copy_size;
	_cleanup_(cleanup_free) uint8_t *copies = malloc(size);
	int r;

	if (!copies)
		return -ENOMEM;
	r = luks_form_write(&luks->header, &luksvolume_expected, 0, copies, why);
	if (r == 0)
		r = luksvolume_memory(luks->header.data_offset, &luks->header_fd);
	if (r == 0)
		r = file_write_at(luks->header_fd, copies, size, 0);
	for (unsigned i = 0; r == 0 && i < LUKS_KEYSLOTS_MAX; i++)
		if (luks->header.keyslots & 1u << i)
			r = luksvolume_copy(fd, luks->header_fd, luks->header.slots[i].area.offset,
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
		r = luks_read(luks->copies, size, &luksvolume_expected, &luks->header, why);
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

	if (!cipher || !mode || strcmp(cipher, LUKSVOLUME_CIPHER_NAME) != 0 ||
	    strcmp(mode, LUKSVOLUME_CIPHER_MODE) != 0) {
		snprintf(why, LUKS_WHY_MAX, "cipher \"%.40s-%.40s\" is not %s", cipher ? cipher : "", mode ? mode : "",
			 luksvolume_expected.cipher);
		return -EBADMSG;
	}
	if (crypt_get_volume_key_size(luks->device) != LUKSVOLUME_KEY_SIZE ||
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
	r = luksvolume_new(path, size, &luks);
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
	r = luksvolume_attach(luks, path);
	if (r == 0)
		r = crypt_load(luks->device, CRYPT_LUKS2, NULL);
	if (r < 0) {
		luksvolume_explain(luks, "libcryptsetup", r, why);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	r = check_loaded(luks, why);
	if (r > 0) {
		*ret = luks;
		luks = NULL;
	}
	return r;
}

static int try_keyslot(struct luks *luks, unsigned keyslot, const struct secret *key)
{
	_cleanup_secret_ struct secret volume_key = {0};
	size_t size = LUKSVOLUME_KEY_SIZE;
	int r = secret_new(LUKSVOLUME_KEY_SIZE, &volume_key);

	if (r == 0)
		r = crypt_volume_key_get(luks->device, (int)keyslot, (char *)volume_key.bytes, &size,
					 (const char *)key->bytes, key->size);
	if (r == -ENOENT)
		return -EPERM;
	if (r < 0 || size != LUKSVOLUME_KEY_SIZE)
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
		luksvolume_explain(luks, "keyslot", r, why);
	return r;
}

int luks_proof(const struct luks *luks, const char *text, uint8_t ret[32])
{
	const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);

	if (luks->volume_key.size != LUKSVOLUME_KEY_SIZE)
		return -EIO;
	return mbedtls_md_hmac(sha256, luks->volume_key.bytes, luks->volume_key.size, (const unsigned char *)text,
			       strlen(text), ret) == 0 ? 0 : -EIO;
}
