/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a LUKS2 header. The first byte chooses: 'r', the rest is both header copies as they are; otherwise the
 * rest is the JSON metadata, put into two well-formed copies with right checksums, since no fuzzer guesses those. What
 * is accepted must keep to its bounds, and its token must be readable.
 */
/* links: disk stages/lib init/lib */
/* libs: json-c mbedtls */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <mbedtls/sha256.h>

#include "stages/disk/luksheader.h"
#include "stages/disk/luksmetadata.h"
#include "stages/lib/base64.h"

#define COPY 16384
#define DEVICE (1u << 30)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

static void make_copy(uint8_t *copy, const char *magic, uint64_t offset, const uint8_t *json, size_t size)
{
	const uint16_t version = htobe16(2);
	const uint64_t length = htobe64(COPY), sequence = htobe64(3), place = htobe64(offset);

	memset(copy, 0, COPY);
	memcpy(copy, magic, 6);
	memcpy(copy + 6, &version, 2);
	memcpy(copy + 8, &length, 8);
	memcpy(copy + 16, &sequence, 8);
	memcpy(copy + 72, "sha256", 6);
	memcpy(copy + 168, "52d16f1e-ef98-4396-beab-b1f9bd92b6f0", 36);
	memcpy(copy + 256, &place, 8);
	memcpy(copy + 4096, json, size < COPY - 4096 ? size : COPY - 4096);
	check(mbedtls_sha256(copy, COPY, copy + 448, 0) == 0);
}

static void use(const struct luks_header *header)
{
	struct json_object *token, *blob;
	uint8_t bytes[1024];
	size_t size;
	int keyslot = -1;

	check(header->keyslots && header->data_offset < DEVICE && header->data_offset >= 2 * COPY);
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (header->keyslots & 1u << i)
			check(header->areas[i].offset >= 2 * COPY && header->areas[i].size <= header->data_offset &&
			      header->areas[i].offset + header->areas[i].size <= header->data_offset);
	token = luks_metadata_token(header, "gantry-tpm2", &keyslot);
	if (!token)
		return;
	check(keyslot >= 0 && header->keyslots & 1u << keyslot);
	if (json_object_object_get_ex(token, "tpm2-blob", &blob) && json_object_is_type(blob, json_type_string))
		(void)base64_decode_into(json_object_get_string(blob), bytes, sizeof(bytes), &size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct luks_expect expect = {"aes-xts-plain64", 64};
	static uint8_t copies[2 * LUKS_COPY_MAX];
	struct luks_header header = {0};
	size_t length = 2 * COPY;
	char why[LUKS_WHY_MAX] = "";
	int r;

	if (!size)
		return 0;
	if (bytes[0] == 'r') {
		length = size - 1 < sizeof(copies) ? size - 1 : sizeof(copies);
		memcpy(copies, bytes + 1, length);
	} else {
		make_copy(copies, "LUKS\xba\xbe", 0, bytes + 1, size - 1);
		make_copy(copies + COPY, "SKUL\xba\xbe", COPY, bytes + 1, size - 1);
	}
	r = luks_header_check(copies, length, DEVICE, &expect, &header, why);
	if (r == 0)
		use(&header);
	else
		check(!header.json && strlen(why) < sizeof(why));
	luks_header_free(&header);
	return 0;
}
