/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a LUKS2 header. The first byte chooses: 'r', the rest is both header copies as they are; otherwise the
 * rest is the JSON metadata, put into two well-formed copies with right checksums, since no fuzzer guesses those. What
 * is accepted must keep to its bounds, pass the stage's own check, and be the same again once it is written anew.
 */
/* links: disk stages/lib init/lib */
/* libs: json-c mbedtls libseccomp */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/sha256.h>

#include "stages/disk/luksform.h"
#include "stages/disk/luksheader.h"

#define COPY 16384
#define DEVICE (1u << 30)

static const struct luks_expect expect = {"aes-xts-plain64", 64};

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

/* Whatever is within the bounds can be written, and says the same when it is read again. */
static void use(const struct luks_header *header)
{
	static uint8_t copies[2 * LUKS_COPY_MAX];
	static struct luks_header again;
	char why[LUKS_WHY_MAX] = "";
	int keyslot = -1;

	check(header->keyslots && header->data_offset < DEVICE && header->data_offset >= 2 * COPY);
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (header->keyslots & 1u << i)
			check(header->slots[i].area.offset >= 2 * COPY &&
			      header->slots[i].area.size <= header->data_offset &&
			      header->slots[i].area.offset + header->slots[i].area.size <= header->data_offset);
	if (luks_form_token(header, "gantry-tpm2", &keyslot))
		check(keyslot >= 0 && header->keyslots & 1u << keyslot && luks_form_names(header, keyslot));
	if (luks_form_write(header, &expect, copies, why) < 0) {
		check(strstr(why, "does not fit") != NULL);
		return;
	}
	check(luks_header_check(copies, 2 * header->copy_size, DEVICE, &expect, &again, why) == 0);
	check(again.copies == LUKS_COPIES_BOTH);
	again.copies = header->copies;
	check(memcmp(&again, header, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static uint8_t copies[2 * LUKS_COPY_MAX];
	static struct luks_header header;
	size_t length = 2 * COPY;
	char why[LUKS_WHY_MAX] = "";

	if (!size)
		return 0;
	if (bytes[0] == 'r') {
		length = size - 1 < sizeof(copies) ? size - 1 : sizeof(copies);
		memcpy(copies, bytes + 1, length);
	} else {
		make_copy(copies, "LUKS\xba\xbe", 0, bytes + 1, size - 1);
		make_copy(copies + COPY, "SKUL\xba\xbe", COPY, bytes + 1, size - 1);
	}
	if (luks_header_check(copies, length, DEVICE, &expect, &header, why) < 0) {
		check(strlen(why) < sizeof(why));
		return 0;
	}
	check(luks_form_check(&header, &expect, DEVICE, why) == 0);
	use(&header);
	return 0;
}
