/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host can write anything into the metadata: a null cipher that leaves the data in the clear, a segment somewhere
 * else, a key derivation that takes a year, reencryption that makes libcryptsetup rewrite the disk. So every object
 * may have exactly the members that are named here, with the values a healthy volume has, whether we made it or
 * cryptsetup with its defaults.
 */
#define _GNU_SOURCE
#include "luksmetadata.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "init/lib/base64.h"
#include "stages/lib/document.h"
#include "stages/lib/printable.h"

const char *const luks_hashes[] = {"sha256", "sha512", NULL};
const char *const luks_kdfs[] = {"pbkdf2", "argon2i", "argon2id", NULL};
/* Only flags that change the speed of dm-crypt; discards would show the host which blocks are free. */
const char *const luks_flags[] = {
	"no-read-workqueue", "no-write-workqueue", "same-cpu-crypt", "submit-from-crypt-cpus", NULL,
};

int luks_refuse(char why[LUKS_WHY_MAX], const char *fmt, ...)
{
	va_list arguments;

	va_start(arguments, fmt);
	vsnprintf(why, LUKS_WHY_MAX, fmt, arguments);
	va_end(arguments);
	printable_copy(why, why, LUKS_WHY_MAX);	/* the words may come from the disk */
	return -EBADMSG;
}

int luks_metadata_parse(const char *text, size_t size, struct json_object **ret, char why[LUKS_WHY_MAX])
{
	size_t length = strnlen(text, size);
	char error[128];
	int r;

	if (length == size)
		return luks_refuse(why, "metadata is not NUL-terminated");
	for (size_t i = length; i < size; i++)
		if (text[i])
			return luks_refuse(why, "bytes after the end of the metadata");
	r = document_parse(text, length, ret, error, sizeof(error));
	return r == -EBADMSG ? luks_refuse(why, "metadata is not a JSON object: %.90s", error) : r;
}

/* Whether all members are among the names, a string of words each between spaces. */
static bool only_members(struct json_object *object, const char *names)
{
	json_object_object_foreach(object, key, value) {
		char word[40];
		int n = snprintf(word, sizeof(word), " %s ", key);

		(void)value;
		if (n <= 2 || (size_t)n >= sizeof(word) || strchr(key, ' ') || !strstr(names, word))
			return false;
	}
	return true;
}

/* A member of that type, or NULL. */
static struct json_object *member(struct json_object *object, const char *name, enum json_type type)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, type) ? value : NULL;
}

static const char *text_of(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name, json_type_string);
	const char *text = value ? json_object_get_string(value) : NULL;

	/* One with a NUL inside is none. */
	return text && strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

/* An integer within the bounds. */
static bool number_of(struct json_object *object, const char *name, int64_t minimum, int64_t maximum, int64_t *ret)
{
	struct json_object *value = member(object, name, json_type_int);
	int64_t number;

	if (!value)
		return false;
	number = json_object_get_int64(value);
	if (number < minimum || number > maximum)
		return false;
	*ret = number;
	return true;
}

/* 64-bit sizes are decimal strings in LUKS2. */
static bool size_of(struct json_object *object, const char *name, uint64_t maximum, uint64_t *ret)
{
	const char *text = text_of(object, name);
	uint64_t number = 0;

	if (!text || !*text || strlen(text) > 19 || strspn(text, "0123456789") != strlen(text))
		return false;
	for (; *text; text++)
		number = number * 10 + (uint64_t)(*text - '0');
	if (number > maximum)
		return false;
	*ret = number;
	return true;
}

static bool is_text(struct json_object *object, const char *name, const char *expected)
{
	const char *text = text_of(object, name);

	return text && strcmp(text, expected) == 0;
}

/* The number of a word in a NULL-ended list. */
static bool word_of(const char *text, const char *const words[], uint32_t *ret)
{
	for (uint32_t i = 0; text && words[i]; i++)
		if (strcmp(text, words[i]) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

static bool hash_of(struct json_object *object, const char *name, uint32_t *ret)
{
	return word_of(text_of(object, name), luks_hashes, ret);
}

/* Base64 of at least one byte. */
static bool bytes_of(struct json_object *object, const char *name, size_t maximum, struct luks_bytes *ret)
{
	const char *text = text_of(object, name);
	size_t size;

	if (!text || maximum > sizeof(ret->bytes) ||
	    base64_decode(text, strlen(text), false, ret->bytes, maximum, &size) < 0 || !size)
		return false;
	ret->size = (uint32_t)size;
	return true;
}

/* "0" to one below `limit`, which is at most 100, or -1. */
static int number_of_key(const char *key, int limit)
{
	size_t n = strlen(key);
	int number;

	if (n < 1 || n > 2 || strspn(key, "0123456789") != n || (n == 2 && key[0] == '0'))
		return -1;
	number = n == 1 ? key[0] - '0' : (key[0] - '0') * 10 + key[1] - '0';
	return number < limit ? number : -1;
}

/* An array of distinct keyslot numbers, all of which are there. */
static bool keyslot_list(struct json_object *object, unsigned there, uint32_t *ret)
{
	struct json_object *list = member(object, "keyslots", json_type_array);
	unsigned found = 0;

	if (!list || json_object_array_length(list) > LUKS_KEYSLOTS_MAX)
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		int n = json_object_is_type(item, json_type_string) ?
			number_of_key(json_object_get_string(item), LUKS_KEYSLOTS_MAX) : -1;

		if (n < 0 || !(there & 1u << n) || found & 1u << n)
			return false;
		found |= 1u << n;
	}
	*ret = found;
	return true;
}

static int check_segment(struct json_object *segments, const struct luks_expect *expect, uint64_t device_size,
			 struct luks_header *header, char *why)
{
	struct json_object *segment = member(segments, "0", json_type_object);
	const char *cipher;
	int64_t sector = 0;

	if (!segment || json_object_object_length(segments) != 1)
		return luks_refuse(why, "not exactly one segment");
	cipher = text_of(segment, "encryption");
	if (!cipher || strcmp(cipher, expect->cipher) != 0)
		return luks_refuse(why, "cipher \"%.48s\" is not %s", cipher ? cipher : "", expect->cipher);
	if (!only_members(segment, " type offset size iv_tweak encryption sector_size ") ||
	    !is_text(segment, "type", "crypt"))
		return luks_refuse(why, "segment is of an unsupported type");
	if (!number_of(segment, "sector_size", 0, 1 << 20, &sector) || (sector != 512 && sector != 4096))
		return luks_refuse(why, "sector size %" PRId64 " is not supported", sector);
	header->sector_size = (uint32_t)sector;
	if (!is_text(segment, "iv_tweak", "0") || !is_text(segment, "size", "dynamic"))
		return luks_refuse(why, "segment does not cover the disk");
	if (!size_of(segment, "offset", LUKS_OFFSET_MAX, &header->data_offset) ||
	    (header->data_offset != LUKS_OFFSET_OURS && header->data_offset != LUKS_OFFSET_CRYPTSETUP))
		return luks_refuse(why, "segment offset is not 2 or 16 MiB");
	if (header->data_offset >= device_size)
		return luks_refuse(why, "segment begins beyond the end of the disk");
	return 0;
}

static bool kdf_of(struct json_object *kdf, struct luks_kdf *ret)
{
	if (!kdf || !bytes_of(kdf, "salt", LUKS_SALT_MAX, &ret->salt) ||
	    !word_of(text_of(kdf, "type"), luks_kdfs, &ret->type))
		return false;
	if (ret->type == LUKS_KDF_PBKDF2)
		return only_members(kdf, " type salt hash iterations ") && hash_of(kdf, "hash", &ret->hash) &&
		       number_of(kdf, "iterations", LUKS_PBKDF2_MIN, LUKS_PBKDF2_MAX, &ret->cost);
	return only_members(kdf, " type salt time memory cpus ") &&
	       number_of(kdf, "time", 1, LUKS_ARGON2_TIME_MAX, &ret->cost) &&
	       number_of(kdf, "memory", LUKS_ARGON2_MEMORY_MIN, LUKS_ARGON2_MEMORY_MAX, &ret->memory) &&
	       number_of(kdf, "cpus", 1, LUKS_ARGON2_CPUS_MAX, &ret->cpus);
}

static bool areas_overlap(const struct luks_area *a, const struct luks_area *b)
{
	return a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

static int check_keyslot(struct json_object *keyslot, unsigned index, const struct luks_expect *expect,
			 struct luks_header *header, char *why)
{
	struct json_object *af = member(keyslot, "af", json_type_object);
	struct json_object *area = member(keyslot, "area", json_type_object);
	struct luks_keyslot *slot = &header->slots[index];
	struct luks_area *place = &slot->area;
	int64_t n;

	if (!only_members(keyslot, " type key_size priority af area kdf ") ||
	    !is_text(keyslot, "type", "luks2") || !af || !area)
		return luks_refuse(why, "keyslot %u is of an unsupported type", index);
	if (!number_of(keyslot, "key_size", expect->key_size, expect->key_size, &n))
		return luks_refuse(why, "keyslot %u: key size is not that of the cipher", index);
	slot->priority = -1;
	if (json_object_object_get_ex(keyslot, "priority", NULL) &&
	    !number_of(keyslot, "priority", 0, 2, &slot->priority))
		return luks_refuse(why, "keyslot %u: priority is not 0 to 2", index);
	if (!only_members(af, " type stripes hash ") || !is_text(af, "type", "luks1") ||
	    !hash_of(af, "hash", &slot->splitter_hash) || !number_of(af, "stripes", LUKS_STRIPES, LUKS_STRIPES, &n))
		return luks_refuse(why, "keyslot %u: anti-forensic splitter is not supported", index);
	if (!kdf_of(member(keyslot, "kdf", json_type_object), &slot->kdf))
		return luks_refuse(why, "keyslot %u: key derivation is not supported, or out of bounds", index);
	if (!only_members(area, " type offset size encryption key_size ") || !is_text(area, "type", "raw") ||
	    !is_text(area, "encryption", expect->cipher) ||
	    !number_of(area, "key_size", 32, 64, &slot->area_key_size) ||
	    (slot->area_key_size != 32 && slot->area_key_size != 64))
		return luks_refuse(why, "keyslot %u: area encryption is not that of the segment", index);
	if (!size_of(area, "offset", LUKS_OFFSET_MAX, &place->offset) ||
	    !size_of(area, "size", LUKS_OFFSET_MAX, &place->size) || place->offset % LUKS_ALIGNMENT ||
	    place->size % LUKS_ALIGNMENT || place->offset < 2 * header->copy_size ||
	    place->size < (uint64_t)expect->key_size * LUKS_STRIPES ||
	    place->offset + place->size > header->data_offset)
		return luks_refuse(why, "keyslot %u: area is misplaced or of the wrong size", index);
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (header->keyslots & 1u << i && areas_overlap(place, &header->slots[i].area))
			return luks_refuse(why, "keyslots %u and %u overlap", i, index);
	header->keyslots |= 1u << index;
	return 0;
}

static int check_keyslots(struct json_object *keyslots, const struct luks_expect *expect, struct luks_header *header,
			  char *why)
{
	json_object_object_foreach(keyslots, key, keyslot) {
		int index = number_of_key(key, LUKS_KEYSLOTS_MAX), r;

		if (index < 0 || !json_object_is_type(keyslot, json_type_object))
			return luks_refuse(why, "keyslot \"%.16s\" is not numbered 0 to 31", key);
		r = check_keyslot(keyslot, (unsigned)index, expect, header, why);
		if (r < 0)
			return r;
	}
	return header->keyslots ? 0 : luks_refuse(why, "no keyslot");
}

/* The only one, whatever its number: cryptsetup counts on when it changes the volume key. */
static struct json_object *only_digest(struct json_object *digests)
{
	if (json_object_object_length(digests) != 1)
		return NULL;
	json_object_object_foreach(digests, key, digest)
		if (number_of_key(key, LUKS_KEYSLOTS_MAX) >= 0 && json_object_is_type(digest, json_type_object))
			return digest;
	return NULL;
}

static int check_digest(struct json_object *digests, struct luks_header *header, char *why)
{
	struct json_object *digest = only_digest(digests), *segments;
	uint32_t served;

	if (!digest)
		return luks_refuse(why, "not exactly one digest");
	segments = member(digest, "segments", json_type_array);
	if (!only_members(digest, " type keyslots segments hash iterations salt digest ") ||
	    !is_text(digest, "type", "pbkdf2") || !hash_of(digest, "hash", &header->digest.hash) ||
	    !bytes_of(digest, "salt", LUKS_SALT_MAX, &header->digest.salt) ||
	    !bytes_of(digest, "digest", LUKS_DIGEST_MAX, &header->digest_value) ||
	    !number_of(digest, "iterations", LUKS_PBKDF2_MIN, LUKS_PBKDF2_MAX, &header->digest.cost))
		return luks_refuse(why, "digest is of an unsupported type");
	if (!segments || json_object_array_length(segments) != 1 ||
	    !json_object_is_type(json_object_array_get_idx(segments, 0), json_type_string) ||
	    strcmp(json_object_get_string(json_object_array_get_idx(segments, 0)), "0") != 0)
		return luks_refuse(why, "digest does not cover the segment");
	if (!keyslot_list(digest, header->keyslots, &served) || served != header->keyslots)
		return luks_refuse(why, "digest does not cover the keyslots");
	return 0;
}

static int bytes_of_member(struct json_object *token, const char *name, uint8_t *ret, size_t room, size_t *ret_size)
{
	struct json_object *text;

	if (!json_object_object_get_ex(token, name, &text))
		return -ENOENT;
	if (!json_object_is_type(text, json_type_string))
		return -EBADMSG;
	return base64_decode(json_object_get_string(text), (size_t)json_object_get_string_len(text), false, ret, room,
			     ret_size);
}

/* Strict about their shape, and the TPM is strict about the rest. Creation data may lack. */
static bool sealed_of_token(struct json_object *token, struct tpm_sealed *ret)
{
	int r;

	if (bytes_of_member(token, LUKS_MEMBER_BLOB, ret->blob.bytes, sizeof(ret->blob.bytes), &ret->blob.size) < 0)
		return false;
	r = bytes_of_member(token, LUKS_MEMBER_CREATION, ret->creation.bytes, sizeof(ret->creation.bytes),
			    &ret->creation.size);
	return r == 0 || r == -ENOENT;
}

/* The PCRs that a token of systemd's form names; 0: none, or not in a way that is understood. */
static uint32_t pcrs_of_token(struct json_object *token)
{
	struct json_object *list, *bank;
	uint32_t pcrs = 0;

	if (!json_object_object_get_ex(token, "tpm2-pcrs", &list) || !json_object_is_type(list, json_type_array) ||
	    (json_object_object_get_ex(token, "tpm2-pcr-bank", &bank) &&
	     (!json_object_is_type(bank, json_type_string) || strcmp(json_object_get_string(bank), "sha256") != 0)))
		return 0;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);

		if (!json_object_is_type(item, json_type_int) || json_object_get_int(item) < 0 ||
		    json_object_get_int(item) > 23)
			return 0;
		pcrs |= 1u << json_object_get_int(item);
	}
	return pcrs;
}

/* The members that are read here are taken out; the rest is only kept. */
static bool keep_rest(struct json_object *token, struct luks_header *header, struct luks_token *ret)
{
	const char *text;
	size_t size;

	json_object_object_del(token, "type");
	json_object_object_del(token, "keyslots");
	text = json_object_to_json_string_length(token, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
						 &size);
	if (!text || size > sizeof(header->texts) - header->texts_size)
		return false;
	ret->at = header->texts_size;
	ret->size = (uint32_t)size;
	memcpy(header->texts + ret->at, text, size);
	header->texts_size += ret->size;
	return true;
}

/* A word that JSON has as it is. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

static int check_token(struct json_object *token, const char *key, struct luks_header *header, char *why)
{
	const char *type = json_object_is_type(token, json_type_object) ? text_of(token, "type") : NULL;
	int index = number_of_key(key, LUKS_TOKENS_MAX);
	struct luks_token *ret = &header->tokens[index < 0 ? 0 : index];

	if (index < 0 || !type || !*type || strlen(type) >= sizeof(ret->type) || !is_plain(type) ||
	    !keyslot_list(token, header->keyslots, &ret->keyslots))
		return luks_refuse(why, "token \"%.16s\" is malformed", key);
	memcpy(ret->type, type, strlen(type) + 1);
	ret->is_sealed = sealed_of_token(token, &ret->sealed);
	if (!ret->is_sealed)
		ret->sealed = (struct tpm_sealed){0};
	ret->pcrs = pcrs_of_token(token);
	return 0;
}

/* In the order of their numbers, whatever that of the text is. */
static int keep_rests(struct json_object *tokens, struct luks_header *header, char *why)
{
	for (int i = 0; i < LUKS_TOKENS_MAX; i++) {
		struct json_object *token;
		char key[12];

		snprintf(key, sizeof(key), "%d", i);
		token = member(tokens, key, json_type_object);
		if (token && !keep_rest(token, header, &header->tokens[i]))
			return luks_refuse(why, "token \"%s\" is too large", key);
	}
	return 0;
}

/* Foreign tokens are only bytes to us, and libcryptsetup is built without token handlers. */
static int check_tokens(struct json_object *tokens, struct luks_header *header, char *why)
{
	if (json_object_object_length(tokens) > LUKS_TOKENS_MAX)
		return luks_refuse(why, "too many tokens");
	json_object_object_foreach(tokens, key, token) {
		int r = check_token(token, key, header, why);

		if (r < 0)
			return r;
	}
	return keep_rests(tokens, header, why);
}

static bool flags_of(struct json_object *config, uint32_t *ret)
{
	struct json_object *flags;
	uint32_t n;

	if (!json_object_object_get_ex(config, "flags", &flags))
		return true;
	if (!json_object_is_type(flags, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(flags); i++) {
		struct json_object *flag = json_object_array_get_idx(flags, i);

		if (!json_object_is_type(flag, json_type_string) ||
		    (size_t)json_object_get_string_len(flag) != strlen(json_object_get_string(flag)) ||
		    !word_of(json_object_get_string(flag), luks_flags, &n))
			return false;
		*ret |= 1u << n;
	}
	return true;
}

static int check_config(struct json_object *config, struct luks_header *header, char *why)
{
	uint64_t json_size;

	/* No requirements: reencryption announces itself there. */
	if (!only_members(config, " json_size keyslots_size flags ") || !flags_of(config, &header->flags))
		return luks_refuse(why, "unknown flags or requirements");
	if (!size_of(config, "json_size", LUKS_COPY_MAX, &json_size) ||
	    json_size != header->copy_size - LUKS_BINARY_SIZE)
		return luks_refuse(why, "metadata size is not that of the header");
	if (!size_of(config, "keyslots_size", LUKS_OFFSET_MAX, &header->keyslots_size) ||
	    header->keyslots_size > header->data_offset - 2 * header->copy_size)
		return luks_refuse(why, "keyslots area is too large");
	return 0;
}

int luks_metadata_check(struct json_object *json, struct luks_header *header, const struct luks_expect *expect,
			uint64_t device_size, char why[LUKS_WHY_MAX])
{
	struct json_object *config = member(json, "config", json_type_object);
	struct json_object *digests = member(json, "digests", json_type_object);
	struct json_object *keyslots = member(json, "keyslots", json_type_object);
	struct json_object *segments = member(json, "segments", json_type_object);
	struct json_object *tokens = member(json, "tokens", json_type_object);
	int r;

	if (!config || !digests || !keyslots || !segments || !tokens || json_object_object_length(json) != 5)
		return luks_refuse(why, "metadata does not consist of the five known objects");
	r = check_segment(segments, expect, device_size, header, why);
	if (r == 0)
		r = check_config(config, header, why);
	if (r == 0)
		r = check_keyslots(keyslots, expect, header, why);
	if (r == 0)
		r = check_digest(digests, header, why);
	if (r == 0)
		r = check_tokens(tokens, header, why);
	return r;
}
