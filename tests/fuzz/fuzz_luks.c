/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a LUKS2 header. The first byte chooses: 'r', the rest is both header copies as they are; 's', the rest is
 * laid over the fields of a good header, as a child that the host has taken over may answer; otherwise the rest is the
 * JSON metadata, put into two well-formed copies with right checksums, since no fuzzer guesses those. What
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
	const struct luks_token *token = NULL;

	check(header->keyslots && header->data_offset < DEVICE && header->data_offset >= 2 * COPY);
	for (unsigned i = 0; i < LUKS_KEYSLOTS_MAX; i++)
		if (header->keyslots & 1u << i)
			check(header->slots[i].area.offset >= 2 * COPY &&
			      header->slots[i].area.size <= header->data_offset &&
			      header->slots[i].area.offset + header->slots[i].area.size <= header->data_offset);
	while ((token = luks_form_token(header, "gantry-tpm2", token)))
		check(!(token->keyslots & ~luks_form_keyslots(header, "gantry-tpm2")));
	check(!(luks_form_keyslots(header, "gantry-tpm2") & ~header->keyslots));
	if (luks_form_write(header, &expect, 0, copies, why) < 0) {
		check(strstr(why, "does not fit") != NULL);
		return;
	}
	check(luks_header_check(copies, 2 * header->copy_size, DEVICE, &expect, &again, why) == 0);
	check(again.copies == LUKS_COPIES_BOTH);
	again.copies = header->copies;
	check(memcmp(&again, header, sizeof(again)) == 0);
}

/* The header that bytes are laid over. */
static const char good[] =
	"{\"keyslots\":{\"0\":{\"type\":\"luks2\",\"key_size\":64,\"af\":{\"type\":\"luks1\",\"stripes\":4000,\"hash\":\"sha256\"},"
	"\"area\":{\"type\":\"raw\",\"offset\":\"32768\",\"size\":\"258048\",\"encryption\":\"aes-xts-plain64\",\"key_size\":64},"
	"\"kdf\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000,\"salt\":\"AAEC\"}}},\"tokens\":{\"0\":"
	"{\"type\":\"gantry-hub\",\"keyslots\":[\"0\"],\"x\":[1,{\"y\":\"z\"}]}},\"segments\":{\"0\":{\"type\":\"crypt\","
	"\"offset\":\"2097152\",\"size\":\"dynamic\",\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\",\"sector_size\":4096}},"
	"\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"keyslots\":[\"0\"],\"segments\":[\"0\"],\"hash\":\"sha256\",\"iterations\":1000,"
	"\"salt\":\"AAEC\",\"digest\":\"AAEC\"}},\"config\":{\"json_size\":\"12288\",\"keyslots_size\":\"2064384\"}}";

/* Pieces: place and size, two bytes each, and as many bytes. What passes makes a header that is read again. */
static void answer(const uint8_t *bytes, size_t size)
{
	static uint8_t copies[2 * LUKS_COPY_MAX];
	static struct luks_header header;
	char why[LUKS_WHY_MAX] = "";

	make_copy(copies, "LUKS\xba\xbe", 0, (const uint8_t *)good, sizeof(good) - 1);
	make_copy(copies + COPY, "SKUL\xba\xbe", COPY, (const uint8_t *)good, sizeof(good) - 1);
	check(luks_header_check(copies, 2 * COPY, DEVICE, &expect, &header, why) == 0);
	while (size >= 4) {
		size_t at = bytes[0] | (size_t)bytes[1] << 8, n = bytes[2] | (size_t)bytes[3] << 8;

		bytes += 4;
		size -= 4;
		n = n < size ? n : size;
		n = at >= sizeof(header) ? 0 : n < sizeof(header) - at ? n : sizeof(header) - at;
		memcpy((uint8_t *)&header + at, bytes, n);
		bytes += n;
		size -= n;
	}
	if (luks_form_check(&header, &expect, DEVICE, why) == 0 &&
	    luks_form_write(&header, &expect, 0, copies, why) == 0)
		check(luks_header_check(copies, 2 * header.copy_size, DEVICE, &expect, &header, why) == 0 ||
		      strstr(why, "metadata is not a JSON object") || strstr(why, "is too large"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static uint8_t copies[2 * LUKS_COPY_MAX];
	static struct luks_header header;
	size_t length = 2 * COPY;
	char why[LUKS_WHY_MAX] = "";

	if (!size)
		return 0;
	if (bytes[0] == 's') {
		answer(bytes + 1, size - 1);
		return 0;
	}
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
