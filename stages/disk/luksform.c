/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements luksform.h. LUKS2 specification, section 3: the members that luksmetadata.c accepts. */
#define _GNU_SOURCE
#include "luksform.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "init/lib/base64.h"
#include "init/lib/json.h"
#include "luksheader.h"

static size_t count(const char *const words[])
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

static bool is_within(int64_t n, int64_t minimum, int64_t maximum)
{
	return n >= minimum && n <= maximum;
}

static bool is_text(const char *text, size_t room)
{
	return memchr(text, '\0', room) != NULL;
}

/* A word that JSON has as it is. */
static bool is_plain(const char *text, size_t room)
{
	if (!is_text(text, room))
		return false;
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

static bool are_bytes(const struct luks_bytes *bytes, size_t maximum)
{
	return bytes->size > 0 && bytes->size <= maximum;
}

static bool kdf_is_sane(const struct luks_kdf *kdf)
{
	if (kdf->type >= count(luks_kdfs) || !are_bytes(&kdf->salt, LUKS_SALT_MAX))
		return false;
	if (kdf->type == LUKS_KDF_PBKDF2)
		return kdf->hash < count(luks_hashes) && is_within(kdf->cost, LUKS_PBKDF2_MIN, LUKS_PBKDF2_MAX);
	return is_within(kdf->cost, 1, LUKS_ARGON2_TIME_MAX) &&
	       is_within(kdf->memory, LUKS_ARGON2_MEMORY_MIN, LUKS_ARGON2_MEMORY_MAX) &&
	       is_within(kdf->cpus, 1, LUKS_ARGON2_CPUS_MAX);
}

static bool slot_is_sane(const struct luks_header *header, unsigned index, const struct luks_expect *expect)
{
	const struct luks_keyslot *slot = &header->slots[index];
	const struct luks_area *area = &slot->area;

	if (area->offset > LUKS_OFFSET_MAX || area->size > LUKS_OFFSET_MAX || area->offset % LUKS_ALIGNMENT ||
	    area->size % LUKS_ALIGNMENT || area->offset < 2 * header->copy_size ||
	    area->size < (uint64_t)expect->key_size * LUKS_STRIPES || area->offset + area->size > header->data_offset)
		return false;
	for (unsigned i = 0; i < index; i++) {
		const struct luks_area *other = &header->slots[i].area;

		if (header->keyslots & 1u << i && area->offset < other->offset + other->size &&
		    other->offset < area->offset + area->size)
			return false;
	}
	return (slot->area_key_size == 32 || slot->area_key_size == 64) && is_within(slot->priority, -1, 2) &&
	       slot->splitter_hash < count(luks_hashes) && kdf_is_sane(&slot->kdf);
}

/* Its members "type" and "keyslots" are written from the fields, so the text has none, however it spells them. */
static int take(struct json_scan *scan, const struct json_token *token)
{
	(void)scan;
	if (token->kind != JSON_KEY || token->depth != 1)
		return 0;
	return token->escapes || (token->size == 4 && memcmp(token->text, "type", 4) == 0) ||
	       (token->size == 8 && memcmp(token->text, "keyslots", 8) == 0) ? -EINVAL : 0;
}

static bool token_is_sane(const struct luks_header *header, const struct luks_token *token)
{
	struct json_scan scan = {.text = header->texts + token->at, .size = token->size, .depth_max = LUKS_TOKEN_DEPTH,
				 .take = take};

	if (!is_plain(token->type, sizeof(token->type)))
		return false;
	if (!token->type[0])
		return true;
	if (token->at > sizeof(header->texts) || token->size > sizeof(header->texts) - token->at || token->size < 2 ||
	    header->texts[token->at] != '{' || header->texts[token->at + token->size - 1] != '}')
		return false;
	return !(token->keyslots & ~header->keyslots) && token->pcrs < 1u << 24 && token->is_sealed <= 1 &&
	       token->sealed.blob.size <= sizeof(token->sealed.blob.bytes) &&
	       token->sealed.creation.size <= sizeof(token->sealed.creation.bytes) && json_scan(&scan) == 0;
}

static bool binary_is_sane(const struct luks_header *header)
{
	return (header->copy_size == 0x4000 || header->copy_size == 0x8000 || header->copy_size == LUKS_COPY_MAX) &&
	       header->copies < LUKS_COPIES_MAX && is_text(header->uuid, sizeof(header->uuid)) &&
	       strlen(header->uuid) == 36 && strspn(header->uuid, "0123456789abcdef-") == 36 &&
	       is_text(header->label, sizeof(header->label)) && is_text(header->subsystem, sizeof(header->subsystem));
}

int luks_form_check(const struct luks_header *header, const struct luks_expect *expect, uint64_t device_size,
		    char why[LUKS_WHY_MAX])
{
	bool sane = binary_is_sane(header) &&
		    (header->data_offset == LUKS_OFFSET_OURS || header->data_offset == LUKS_OFFSET_CRYPTSETUP) &&
		    header->data_offset < device_size &&
		    header->keyslots_size <= header->data_offset - 2 * header->copy_size &&
		    (header->sector_size == 512 || header->sector_size == 4096) &&
		    header->flags < 1u << count(luks_flags) && header->keyslots;

	for (unsigned i = 0; sane && i < LUKS_KEYSLOTS_MAX; i++)
		sane = !(header->keyslots & 1u << i) || slot_is_sane(header, i, expect);
	sane = sane && header->digest.type == LUKS_KDF_PBKDF2 && kdf_is_sane(&header->digest) &&
	       are_bytes(&header->digest_value, LUKS_DIGEST_MAX);
	for (unsigned i = 0; sane && i < LUKS_TOKENS_MAX; i++)
		sane = token_is_sane(header, &header->tokens[i]);
	return sane ? 0 : luks_refuse(why, "its reader's answer is malformed");
}

/* ---- the JSON */

struct out {
	char *text;
	size_t room, used;	/* used is more than room where it does not fit */
};

static void put(struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct out *out, const char *fmt, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, fmt);
	n = vsnprintf(out->used < out->room ? out->text + out->used : NULL,
		      out->used < out->room ? out->room - out->used : 0, fmt, arguments);
	va_end(arguments);
	out->used += n < 0 ? out->room : (size_t)n;
}

static void put_base64(struct out *out, const char *name, const struct luks_bytes *bytes)
{
	char text[BASE64_SIZE(sizeof(bytes->bytes))];

	base64_encode(bytes->bytes, bytes->size, false, text);
	put(out, ",\"%s\":\"%s\"", name, text);
}

static void put_kdf(struct out *out, const struct luks_kdf *kdf)
{
	put(out, "\"type\":\"%s\"", luks_kdfs[kdf->type]);
	if (kdf->type == LUKS_KDF_PBKDF2)
		put(out, ",\"hash\":\"%s\",\"iterations\":%" PRId64, luks_hashes[kdf->hash], kdf->cost);
	else
		put(out, ",\"time\":%" PRId64 ",\"memory\":%" PRId64 ",\"cpus\":%" PRId64, kdf->cost, kdf->memory,
		    kdf->cpus);
	put_base64(out, "salt", &kdf->salt);
}

static void put_keyslot(struct out *out, const struct luks_keyslot *slot, const struct luks_expect *expect)
{
	put(out, "{\"type\":\"luks2\",\"key_size\":%u", expect->key_size);
	if (slot->priority >= 0)
		put(out, ",\"priority\":%" PRId64, slot->priority);
	put(out, ",\"af\":{\"type\":\"luks1\",\"stripes\":%d,\"hash\":\"%s\"}", LUKS_STRIPES,
	    luks_hashes[slot->splitter_hash]);
	put(out, ",\"area\":{\"type\":\"raw\",\"offset\":\"%" PRIu64 "\",\"size\":\"%" PRIu64 "\","
	    "\"encryption\":\"%s\",\"key_size\":%" PRId64 "},\"kdf\":{", slot->area.offset, slot->area.size,
	    expect->cipher, slot->area_key_size);
	put_kdf(out, &slot->kdf);
	put(out, "}}");
}

/* ["0","3"] */
static void put_keyslots(struct out *out, uint32_t keyslots)
{
	const char *comma = "";

	put(out, "\"keyslots\":[");
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (keyslots & 1u << i) {
			put(out, "%s\"%u\"", comma, i);
			comma = ",";
		}
	put(out, "]");
}

static void put_token(struct out *out, const struct luks_header *header, const struct luks_token *token)
{
	const char *rest = header->texts + token->at + 1;	/* behind its brace */

	put(out, "{\"type\":\"%s\",", token->type);
	put_keyslots(out, token->keyslots);
	/* The scan allows blanks, and json-c may write one into an object without members. */
	put(out, "%s%.*s", rest[strspn(rest, " ")] == '}' ? "" : ",", (int)token->size - 1, rest);
}

static void put_lists(struct out *out, const struct luks_header *header, const struct luks_expect *expect)
{
	const char *comma = "";

	put(out, "{\"keyslots\":{");
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (header->keyslots & 1u << i) {
			put(out, "%s\"%u\":", comma, i);
			put_keyslot(out, &header->slots[i], expect);
			comma = ",";
		}
	put(out, "},\"tokens\":{");
	comma = "";
	for (unsigned i = 0; i < LUKS_TOKENS_MAX; i++)
		if (header->tokens[i].type[0]) {
			put(out, "%s\"%u\":", comma, i);
			put_token(out, header, &header->tokens[i]);
			comma = ",";
		}
	put(out, "}");
}

static void put_flags(struct out *out, uint32_t flags)
{
	const char *comma = "";

	if (!flags)
		return;
	put(out, ",\"flags\":[");
	for (unsigned i = 0; luks_flags[i]; i++)
		if (flags & 1u << i) {
			put(out, "%s\"%s\"", comma, luks_flags[i]);
			comma = ",";
		}
	put(out, "]");
}

static void put_metadata(struct out *out, const struct luks_header *header, const struct luks_expect *expect,
			 uint64_t segment_bytes)
{
	char size[24] = "dynamic";

	if (segment_bytes)
		snprintf(size, sizeof(size), "%" PRIu64, segment_bytes);
	put_lists(out, header, expect);
	put(out, ",\"segments\":{\"0\":{\"type\":\"crypt\",\"offset\":\"%" PRIu64 "\",\"size\":\"%s\","
	    "\"iv_tweak\":\"0\",\"encryption\":\"%s\",\"sector_size\":%u}},\"digests\":{\"0\":{", header->data_offset,
	    size, expect->cipher, header->sector_size);
	put_kdf(out, &header->digest);
	put_base64(out, "digest", &header->digest_value);
	put(out, ",\"segments\":[\"0\"],");
	put_keyslots(out, header->keyslots);
	put(out, "}},\"config\":{\"json_size\":\"%" PRIu64 "\",\"keyslots_size\":\"%" PRIu64 "\"",
	    header->copy_size - LUKS_BINARY_SIZE, header->keyslots_size);
	put_flags(out, header->flags);
	put(out, "}}");
}

int luks_form_write(const struct luks_header *header, const struct luks_expect *expect, uint64_t segment_bytes,
		    uint8_t *ret, char why[LUKS_WHY_MAX])
{
	struct out out = {.text = (char *)ret + LUKS_BINARY_SIZE, .room = header->copy_size - LUKS_BINARY_SIZE};

	memset(ret, 0, 2 * header->copy_size);
	put_metadata(&out, header, expect, segment_bytes);
	if (out.used >= out.room)
		return luks_refuse(why, "metadata does not fit into the header");
	return luks_header_seal(header, ret);
}

/* ---- looking things up */

const struct luks_token *luks_form_token(const struct luks_header *header, const char *type,
					 const struct luks_token *after)
{
	const struct luks_token *token = after ? after + 1 : header->tokens;

	for (; token < header->tokens + LUKS_TOKENS_MAX; token++)
		if (strcmp(token->type, type) == 0)
			return token;
	return NULL;
}

uint32_t luks_form_keyslots(const struct luks_header *header, const char *type)
{
	const struct luks_token *token = NULL;
	uint32_t keyslots = 0;

	while (type && (token = luks_form_token(header, type, token)))
		keyslots |= token->keyslots;
	return keyslots;
}

bool luks_form_names(const struct luks_header *header, int keyslot)
{
	for (unsigned i = 0; i < LUKS_TOKENS_MAX; i++)
		if (keyslot >= 0 && header->tokens[i].type[0] && header->tokens[i].keyslots & 1u << keyslot)
			return true;
	return false;
}
