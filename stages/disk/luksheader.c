/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Format: LUKS2 On-Disk Format Specification 1.1.x (gitlab.com/cryptsetup/LUKS2-docs). Here are the binary header and
 * its two copies; what the metadata in them may say is luksmetadata.c's. One good copy is enough, since a power cut
 * may interrupt the write of the other; the newer of two counts, as for libcryptsetup. The host can choose an older
 * one in any case, by rolling the disk back.
 */
#define _GNU_SOURCE
#include "luksheader.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <json-c/json.h>
#include <mbedtls/sha256.h>

#include "luksmetadata.h"

#define MAGIC_PRIMARY   "LUKS\xba\xbe"
#define MAGIC_SECONDARY "SKUL\xba\xbe"

struct binary_header {
	char magic[6];
	uint16_t version;
	uint64_t copy_size;
	uint64_t sequence;
	char label[48];
	char checksum_algorithm[32];
	uint8_t salt[64];
	char uuid[40];
	char subsystem[48];
	uint64_t offset;
	uint8_t padding[184];
	uint8_t checksum[64];
	uint8_t padding_4096[7 * 512];
} __attribute__((packed));

_Static_assert(sizeof(struct binary_header) == LUKS_BINARY_SIZE, "LUKS2 specification, section 2.1");

static bool is_copy_size(uint64_t size)
{
	return size == 0x4000 || size == 0x8000 || size == LUKS_COPY_MAX;
}

/* Where the secondary copy lies, which is also the size of each; 0: there is none. */
static uint64_t find_secondary(const uint8_t *bytes, size_t size)
{
	for (uint64_t at = 0x4000; at <= LUKS_COPY_MAX && at + sizeof(struct binary_header) <= size; at *= 2) {
		const struct binary_header *header = (const void *)(bytes + at);

		if (memcmp(header->magic, MAGIC_SECONDARY, sizeof(header->magic)) == 0 &&
		    be16toh(header->version) == 2 && be64toh(header->copy_size) == at && be64toh(header->offset) == at)
			return at;
	}
	return 0;
}

int64_t luks_header_size(const void *bytes, size_t size, char why[LUKS_WHY_MAX])
{
	const struct binary_header *header = bytes;
	uint64_t secondary = find_secondary(bytes, size);
	bool primary = size >= sizeof(*header) && memcmp(header->magic, MAGIC_PRIMARY, sizeof(header->magic)) == 0;

	if (primary && be16toh(header->version) == 2 && is_copy_size(be64toh(header->copy_size)))
		return (int64_t)(2 * be64toh(header->copy_size));
	if (secondary)
		return (int64_t)(2 * secondary);
	if (!primary)
		return 0;
	if (be16toh(header->version) != 2)
		return luks_refuse(why, "version %u is not supported", be16toh(header->version));
	return luks_refuse(why, "header size %" PRIu64 " is not supported", be64toh(header->copy_size));
}

/* The checksum covers the whole copy with its own field as zeros. */
static bool checksum_is_right(const struct binary_header *header, uint64_t copy_size)
{
	static const uint8_t zeros[sizeof(header->checksum)];
	const uint8_t *bytes = (const uint8_t *)header;
	const size_t at = offsetof(struct binary_header, checksum), after = at + sizeof(zeros);
	mbedtls_sha256_context sha;
	uint8_t digest[32];
	int r;

	mbedtls_sha256_init(&sha);
	r = mbedtls_sha256_starts(&sha, 0);
	r = r ? r : mbedtls_sha256_update(&sha, bytes, at);
	r = r ? r : mbedtls_sha256_update(&sha, zeros, sizeof(zeros));
	r = r ? r : mbedtls_sha256_update(&sha, bytes + after, copy_size - after);
	r = r ? r : mbedtls_sha256_finish(&sha, digest);
	mbedtls_sha256_free(&sha);
	return r == 0 && memcmp(digest, header->checksum, sizeof(digest)) == 0;
}

static bool copy_is_good(const struct binary_header *header, const char *magic, uint64_t copy_size, uint64_t offset)
{
	return memcmp(header->magic, magic, sizeof(header->magic)) == 0 && be16toh(header->version) == 2 &&
	       be64toh(header->copy_size) == copy_size && be64toh(header->offset) == offset &&
	       strncmp(header->checksum_algorithm, "sha256", sizeof(header->checksum_algorithm)) == 0 &&
	       checksum_is_right(header, copy_size);
}

static int choose_copy(const uint8_t *bytes, size_t size, enum luks_copies *ret, char *why)
{
	const struct binary_header *first = (const void *)bytes, *second = (const void *)(bytes + size / 2);
	bool good = copy_is_good(first, MAGIC_PRIMARY, size / 2, 0);
	bool other = copy_is_good(second, MAGIC_SECONDARY, size / 2, size / 2);

	if (!good && !other)
		return luks_refuse(why, "both copies are damaged");
	if (good && other && first->sequence == second->sequence) {
		if (memcmp(bytes + LUKS_BINARY_SIZE, bytes + size / 2 + LUKS_BINARY_SIZE,
			   size / 2 - LUKS_BINARY_SIZE) != 0 ||
		    memcmp(first->uuid, second->uuid, sizeof(first->uuid)) != 0)
			return luks_refuse(why, "the two copies differ");
		*ret = LUKS_COPIES_BOTH;
	} else if (good && other) {
		*ret = be64toh(first->sequence) > be64toh(second->sequence) ? LUKS_COPIES_PRIMARY :
									      LUKS_COPIES_SECONDARY;
	} else {
		*ret = good ? LUKS_COPIES_PRIMARY : LUKS_COPIES_SECONDARY;
	}
	return 0;
}

int luks_header_mend(const struct luks_header *header, void *bytes)
{
	uint8_t *copies[2] = {bytes, (uint8_t *)bytes + header->copy_size};
	bool from_second = header->copies == LUKS_COPIES_SECONDARY;
	struct binary_header *made = (void *)copies[!from_second];

	if (header->copies == LUKS_COPIES_BOTH)
		return 0;
	if (!copy_is_good((const void *)copies[from_second], from_second ? MAGIC_SECONDARY : MAGIC_PRIMARY,
			  header->copy_size, from_second ? header->copy_size : 0))
		return -EBADMSG;
	memcpy(made, copies[from_second], header->copy_size);
	memcpy(made->magic, from_second ? MAGIC_PRIMARY : MAGIC_SECONDARY, sizeof(made->magic));
	made->offset = htobe64(from_second ? 0 : header->copy_size);
	memset(made->checksum, 0, sizeof(made->checksum));
	return mbedtls_sha256((const uint8_t *)made, header->copy_size, made->checksum, 0) == 0 ? 0 : -EIO;
}

static int fill_copy(const struct luks_header *header, const char *magic, uint64_t offset, uint8_t *copy)
{
	struct binary_header *binary = (void *)copy;

	memcpy(binary->magic, magic, sizeof(binary->magic));
	binary->version = htobe16(2);
	binary->copy_size = htobe64(header->copy_size);
	binary->sequence = htobe64(header->sequence);
	memcpy(binary->label, header->label, sizeof(binary->label));
	strncpy(binary->checksum_algorithm, "sha256", sizeof(binary->checksum_algorithm));
	memcpy(binary->uuid, header->uuid, sizeof(binary->uuid));
	memcpy(binary->subsystem, header->subsystem, sizeof(binary->subsystem));
	binary->offset = htobe64(offset);
	if (getrandom(binary->salt, sizeof(binary->salt), 0) != sizeof(binary->salt))
		return -EIO;
	return mbedtls_sha256(copy, header->copy_size, binary->checksum, 0) == 0 ? 0 : -EIO;
}

int luks_header_seal(const struct luks_header *header, uint8_t *bytes)
{
	int r;

	memcpy(bytes + header->copy_size, bytes, header->copy_size);
	r = fill_copy(header, MAGIC_PRIMARY, 0, bytes);
	return r < 0 ? r : fill_copy(header, MAGIC_SECONDARY, header->copy_size, bytes + header->copy_size);
}

int luks_header_check(const void *bytes, size_t size, uint64_t device_size, const struct luks_expect *expect,
		      struct luks_header *ret, char why[LUKS_WHY_MAX])
{
	int64_t expected = luks_header_size(bytes, size, why);
	const struct binary_header *copy;
	struct json_object *json = NULL;
	enum luks_copies copies = LUKS_COPIES_BOTH;
	int r;

	if (expected < 0)
		return (int)expected;
	if (expected == 0 || (uint64_t)expected != size)
		return luks_refuse(why, "header is truncated");
	r = choose_copy(bytes, size, &copies, why);
	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->copies = copies;
	ret->copy_size = size / 2;
	copy = (const void *)((const uint8_t *)bytes + (copies == LUKS_COPIES_SECONDARY ? ret->copy_size : 0));
	ret->sequence = be64toh(copy->sequence);
	memcpy(ret->uuid, copy->uuid, sizeof(ret->uuid));
	memcpy(ret->label, copy->label, sizeof(ret->label) - 1);
	memcpy(ret->subsystem, copy->subsystem, sizeof(ret->subsystem) - 1);
	if (strnlen(ret->uuid, sizeof(ret->uuid)) != 36 || strspn(ret->uuid, "0123456789abcdef-") != 36)
		return luks_refuse(why, "UUID is malformed");
	r = luks_metadata_parse((const char *)copy + LUKS_BINARY_SIZE, ret->copy_size - LUKS_BINARY_SIZE, &json, why);
	if (r == 0)
		r = luks_metadata_check(json, ret, expect, device_size, why);
	json_object_put(json);
	return r;
}
