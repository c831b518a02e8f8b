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
#include "init/lib/base64.h"
#include "stages/lib/document.h"
#include "stages/lib/printable.h"

#define DATA_OFFSET_MAX (64u << 20)
#define DATA_OFFSET_OURS       (2u << 20)	/* luks.c */
#define DATA_OFFSET_CRYPTSETUP (16u << 20)	/* its default for LUKS2 on every disk */
#define ALIGNMENT       4096
#define STRIPES         4000		/* LUKS_STRIPES; the only count libcryptsetup makes */
#define SALT_MAX        128		/* bytes */
/* Bounds on the cost of trying one key: seconds on a slow machine, and memory that a small one has. */
#define PBKDF2_ITERATIONS_MIN 1000
#define PBKDF2_ITERATIONS_MAX (64 << 20)
#define ARGON2_TIME_MAX       64
#define ARGON2_MEMORY_KIB_MAX (1 << 20)
#define ARGON2_CPUS_MAX       4

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

static bool is_hash(struct json_object *object, const char *name)
{
	return is_text(object, name, "sha256") || is_text(object, name, "sha512");
}

static bool is_base64(struct json_object *object, const char *name, size_t maximum)
{
	const char *text = text_of(object, name);
	uint8_t bytes[SALT_MAX];
	size_t size;

	return text && maximum <= sizeof(bytes) &&
	       base64_decode(text, strlen(text), false, bytes, maximum, &size) == 0 && size;
}

/* "0" to "7", or -1. */
static int number_of_key(const char *key, unsigned maximum)
{
	return key[0] >= '0' && key[0] < '0' + (int)maximum && key[1] == '\0' ? key[0] - '0' : -1;
}

/* An array of distinct keyslot numbers, all of which are there. */
static bool keyslot_list(struct json_object *object, unsigned there, unsigned *ret)
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
	header->sector_size = (unsigned)sector;
	if (!is_text(segment, "iv_tweak", "0") || !is_text(segment, "size", "dynamic"))
		return luks_refuse(why, "segment does not cover the disk");
	if (!size_of(segment, "offset", DATA_OFFSET_MAX, &header->data_offset) ||
	    (header->data_offset != DATA_OFFSET_OURS && header->data_offset != DATA_OFFSET_CRYPTSETUP))
		return luks_refuse(why, "segment offset is not 2 or 16 MiB");
	if (header->data_offset >= device_size)
		return luks_refuse(why, "segment begins beyond the end of the disk");
	return 0;
}

static bool kdf_is_known(struct json_object *kdf)
{
	int64_t n;

	if (!kdf || !is_base64(kdf, "salt", SALT_MAX))
		return false;
	if (is_text(kdf, "type", "pbkdf2"))
		return only_members(kdf, " type salt hash iterations ") && is_hash(kdf, "hash") &&
		       number_of(kdf, "iterations", PBKDF2_ITERATIONS_MIN, PBKDF2_ITERATIONS_MAX, &n);
	if (is_text(kdf, "type", "argon2id") || is_text(kdf, "type", "argon2i"))
		return only_members(kdf, " type salt time memory cpus ") &&
		       number_of(kdf, "time", 1, ARGON2_TIME_MAX, &n) &&
		       number_of(kdf, "memory", 32, ARGON2_MEMORY_KIB_MAX, &n) &&
		       number_of(kdf, "cpus", 1, ARGON2_CPUS_MAX, &n);
	return false;
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
	struct luks_area *place = &header->areas[index];
	int64_t n;

	if (!only_members(keyslot, " type key_size priority af area kdf ") ||
	    !is_text(keyslot, "type", "luks2") || !af || !area)
		return luks_refuse(why, "keyslot %u is of an unsupported type", index);
	if (!number_of(keyslot, "key_size", expect->key_size, expect->key_size, &n))
		return luks_refuse(why, "keyslot %u: key size is not that of the cipher", index);
	if (json_object_object_get_ex(keyslot, "priority", NULL) && !number_of(keyslot, "priority", 0, 2, &n))
		return luks_refuse(why, "keyslot %u: priority is not 0 to 2", index);
	if (!only_members(af, " type stripes hash ") || !is_text(af, "type", "luks1") || !is_hash(af, "hash") ||
	    !number_of(af, "stripes", STRIPES, STRIPES, &n))
		return luks_refuse(why, "keyslot %u: anti-forensic splitter is not supported", index);
	if (!kdf_is_known(member(keyslot, "kdf", json_type_object)))
		return luks_refuse(why, "keyslot %u: key derivation is not supported, or out of bounds", index);
	if (!only_members(area, " type offset size encryption key_size ") || !is_text(area, "type", "raw") ||
	    !is_text(area, "encryption", expect->cipher) || !number_of(area, "key_size", 32, 64, &n) ||
	    (n != 32 && n != 64))
		return luks_refuse(why, "keyslot %u: area encryption is not that of the segment", index);
	if (!size_of(area, "offset", DATA_OFFSET_MAX, &place->offset) ||
	    !size_of(area, "size", DATA_OFFSET_MAX, &place->size) || place->offset % ALIGNMENT ||
	    place->size % ALIGNMENT || place->offset < 2 * header->copy_size ||
	    place->size < (uint64_t)expect->key_size * STRIPES || place->offset + place->size > header->data_offset)
		return luks_refuse(why, "keyslot %u: area is misplaced or of the wrong size", index);
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (header->keyslots & 1u << i && areas_overlap(place, &header->areas[i]))
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
			return luks_refuse(why, "keyslot \"%.16s\" is not numbered 0 to 7", key);
		r = check_keyslot(keyslot, (unsigned)index, expect, header, why);
		if (r < 0)
			return r;
	}
	return header->keyslots ? 0 : luks_refuse(why, "no keyslot");
}

static int check_digest(struct json_object *digests, unsigned keyslots, char *why)
{
	struct json_object *digest = member(digests, "0", json_type_object), *segments;
	unsigned served;
	int64_t n;

	if (!digest || json_object_object_length(digests) != 1)
		return luks_refuse(why, "not exactly one digest");
	segments = member(digest, "segments", json_type_array);
	if (!only_members(digest, " type keyslots segments hash iterations salt digest ") ||
	    !is_text(digest, "type", "pbkdf2") || !is_hash(digest, "hash") || !is_base64(digest, "salt", SALT_MAX) ||
	    !is_base64(digest, "digest", 64) ||
	    !number_of(digest, "iterations", PBKDF2_ITERATIONS_MIN, PBKDF2_ITERATIONS_MAX, &n))
		return luks_refuse(why, "digest is of an unsupported type");
	if (!segments || json_object_array_length(segments) != 1 ||
	    !json_object_is_type(json_object_array_get_idx(segments, 0), json_type_string) ||
	    strcmp(json_object_get_string(json_object_array_get_idx(segments, 0)), "0") != 0)
		return luks_refuse(why, "digest does not cover the segment");
	if (!keyslot_list(digest, keyslots, &served) || served != keyslots)
		return luks_refuse(why, "digest does not cover the keyslots");
	return 0;
}

/* Foreign tokens are ignored: they are only bytes to us, and libcryptsetup is built without token handlers. */
static int check_tokens(struct json_object *tokens, unsigned keyslots, char *why)
{
	if (json_object_object_length(tokens) > LUKS_TOKENS_MAX)
		return luks_refuse(why, "too many tokens");
	json_object_object_foreach(tokens, key, token) {
		const char *type = json_object_is_type(token, json_type_object) ? text_of(token, "type") : NULL;
		unsigned served;

		if (number_of_key(key, LUKS_TOKENS_MAX) < 0 || !type || strlen(type) > 64 ||
		    !keyslot_list(token, keyslots, &served))
			return luks_refuse(why, "token \"%.16s\" is malformed", key);
	}
	return 0;
}

/* Only flags that change the speed of dm-crypt; discards would show the host which blocks are free. */
static bool flags_are_known(struct json_object *config)
{
	static const char known[] = " no-read-workqueue no-write-workqueue same-cpu-crypt submit-from-crypt-cpus ";
	struct json_object *flags;

	if (!json_object_object_get_ex(config, "flags", &flags))
		return true;
	if (!json_object_is_type(flags, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(flags); i++) {
		struct json_object *flag = json_object_array_get_idx(flags, i);
		char word[40];
		int n = snprintf(word, sizeof(word), " %s ", json_object_get_string(flag));

		if (!json_object_is_type(flag, json_type_string) || n <= 2 || (size_t)n >= sizeof(word) ||
		    n != json_object_get_string_len(flag) + 2 || strchr(word + 1, ' ') != word + n - 1 ||
		    !strstr(known, word))
			return false;
	}
	return true;
}

static int check_config(struct json_object *config, const struct luks_header *header, char *why)
{
	uint64_t json_size, keyslots_size;

	/* No requirements: reencryption announces itself there. */
	if (!only_members(config, " json_size keyslots_size flags ") || !flags_are_known(config))
		return luks_refuse(why, "unknown flags or requirements");
	if (!size_of(config, "json_size", LUKS_COPY_MAX, &json_size) ||
	    json_size != header->copy_size - LUKS_BINARY_SIZE)
		return luks_refuse(why, "metadata size is not that of the header");
	if (!size_of(config, "keyslots_size", DATA_OFFSET_MAX, &keyslots_size) ||
	    keyslots_size > header->data_offset - 2 * header->copy_size)
		return luks_refuse(why, "keyslots area is too large");
	return 0;
}

int luks_metadata_check(struct luks_header *header, const struct luks_expect *expect, uint64_t device_size,
			char why[LUKS_WHY_MAX])
{
	struct json_object *config = member(header->json, "config", json_type_object);
	struct json_object *digests = member(header->json, "digests", json_type_object);
	struct json_object *keyslots = member(header->json, "keyslots", json_type_object);
	struct json_object *segments = member(header->json, "segments", json_type_object);
	struct json_object *tokens = member(header->json, "tokens", json_type_object);
	int r;

	if (!config || !digests || !keyslots || !segments || !tokens || json_object_object_length(header->json) != 5)
		return luks_refuse(why, "metadata does not consist of the five known objects");
	r = check_segment(segments, expect, device_size, header, why);
	if (r == 0)
		r = check_config(config, header, why);
	if (r == 0)
		r = check_keyslots(keyslots, expect, header, why);
	if (r == 0)
		r = check_digest(digests, header->keyslots, why);
	if (r == 0)
		r = check_tokens(tokens, header->keyslots, why);
	return r;
}

struct json_object *luks_metadata_token(const struct luks_header *header, const char *type, int *ret_keyslot)
{
	struct json_object *tokens = member(header->json, "tokens", json_type_object);

	json_object_object_foreach(tokens, key, token) {
		struct json_object *list = member(token, "keyslots", json_type_array);

		(void)key;
		if (!is_text(token, "type", type) || !list || json_object_array_length(list) != 1)
			continue;
		*ret_keyslot = number_of_key(json_object_get_string(json_object_array_get_idx(list, 0)),
					     LUKS_KEYSLOTS_MAX);
		return token;
	}
	return NULL;
}

bool luks_metadata_names(const struct luks_header *header, int keyslot)
{
	struct json_object *tokens = member(header->json, "tokens", json_type_object);

	json_object_object_foreach(tokens, key, token) {
		struct json_object *list = member(token, "keyslots", json_type_array);

		(void)key;
		for (size_t i = 0; list && i < json_object_array_length(list); i++)
			if (number_of_key(json_object_get_string(json_object_array_get_idx(list, i)),
					  LUKS_KEYSLOTS_MAX) == keyslot)
				return true;
	}
	return false;
}
