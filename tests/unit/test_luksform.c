/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A child that the host has taken over answers anything: each field out of its bounds is refused by the stage, before a
 * byte of it is used. What is within them becomes a header that reads the same.
 */
/* links: disk stages/lib init/lib */
/* libs: cryptsetup devmapper json-c mbedtls libseccomp */
#define _GNU_SOURCE
#include "stages/disk/luksform.h"
#include "stages/disk/luksheader.h"
#include "luks_disk.h"

static const struct luks_expect expect = {"aes-xts-plain64", 64};
static struct luks_header good, bad;

static void read_good(void)
{
	struct luks *luks = NULL;
	int fd = new_disk();

	format(fd);
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
	good = *luks_header_of(luks);
	luks_close(luks);
	remove_disk(fd);
	CHECK_INT(luks_form_check(&good, &expect, DISK_SIZE, why), 0);
}

#define IS_REFUSED(change)                                                                              \
	do {                                                                                            \
		bad = good;                                                                             \
		change;                                                                                 \
		CHECK_INT(luks_form_check(&bad, &expect, DISK_SIZE, why), -EBADMSG);                    \
		CHECK_STR(why, "its reader's answer is malformed");                                     \
	} while (0)

TEST(sizes_and_places_out_of_bounds_are_refused)
{
	read_good();
	IS_REFUSED(bad.copy_size = 0);
	IS_REFUSED(bad.copy_size = 0x20000);
	IS_REFUSED(bad.copy_size = UINT64_MAX);
	IS_REFUSED(bad.copies = LUKS_COPIES_MAX);
	IS_REFUSED(bad.data_offset = 1u << 20);
	IS_REFUSED(bad.data_offset = UINT64_MAX);
	IS_REFUSED(bad.keyslots_size = UINT64_MAX);
	IS_REFUSED(bad.sector_size = 8192);
	IS_REFUSED(bad.flags = 16);
	IS_REFUSED(bad.keyslots = 0);
	IS_REFUSED(bad.keyslots = 0x101);
	IS_REFUSED(bad.keyslots = 3);		/* the second one is all zero */
	IS_REFUSED(bad.keyslots = 3; bad.slots[1] = bad.slots[0]);
	IS_REFUSED(bad.slots[0].area.offset = 0);
	IS_REFUSED(bad.slots[0].area.offset = 32769);
	IS_REFUSED(bad.slots[0].area.offset = UINT64_MAX - 4095);
	IS_REFUSED(bad.slots[0].area.size = 4096);
	IS_REFUSED(bad.slots[0].area.size = UINT64_MAX - 4095);
	IS_REFUSED(bad.slots[0].area_key_size = 16);
	IS_REFUSED(bad.slots[0].priority = 3);
	IS_REFUSED(bad.slots[0].splitter_hash = 2);
	CHECK_INT(luks_form_check(&good, &expect, good.data_offset, why), -EBADMSG);
}

TEST(costs_and_bytes_out_of_bounds_are_refused)
{
	read_good();
	IS_REFUSED(bad.slots[0].kdf.type = 3);
	IS_REFUSED(bad.slots[0].kdf.hash = 2);
	IS_REFUSED(bad.slots[0].kdf.cost = 999);
	IS_REFUSED(bad.slots[0].kdf.cost = INT64_MAX);
	IS_REFUSED(bad.slots[0].kdf.salt.size = 0);
	IS_REFUSED(bad.slots[0].kdf.salt.size = LUKS_SALT_MAX + 1);
	IS_REFUSED(bad.slots[0].kdf.type = LUKS_KDF_ARGON2);	/* without memory */
	IS_REFUSED(bad.digest.type = LUKS_KDF_ARGON2);
	IS_REFUSED(bad.digest.cost = 0);
	IS_REFUSED(bad.digest_value.size = LUKS_DIGEST_MAX + 1);
	IS_REFUSED(bad.digest.salt.size = UINT32_MAX);
}

TEST(text_without_an_end_or_of_another_form_is_refused)
{
	read_good();
	IS_REFUSED(memset(bad.uuid, 'a', sizeof(bad.uuid)));
	IS_REFUSED(bad.uuid[0] = 'G');
	IS_REFUSED(bad.uuid[3] = '\0');
	IS_REFUSED(memset(bad.label, 'a', sizeof(bad.label)));
	IS_REFUSED(memset(bad.subsystem, 'a', sizeof(bad.subsystem)));
	IS_REFUSED(memset(bad.tokens[0].type, 'a', sizeof(bad.tokens[0].type)));
	IS_REFUSED(bad.tokens[0].type[1] = '"');
	IS_REFUSED(bad.tokens[0].type[1] = '\n');
}

static void put_text(const char *text)
{
	bad.tokens[0].at = 0;
	bad.tokens[0].size = (uint32_t)strlen(text);
	memcpy(bad.texts, text, strlen(text));
}

TEST(token_that_is_more_than_an_object_of_other_members_is_refused)
{
	read_good();
	CHECK(good.tokens[0].type[0]);
	IS_REFUSED(bad.tokens[0].at = sizeof(bad.texts));
	IS_REFUSED(bad.tokens[0].size = UINT32_MAX);
	IS_REFUSED(bad.tokens[0].size = 0);
	IS_REFUSED(bad.tokens[0].keyslots = 2);
	IS_REFUSED(bad.tokens[0].pcrs = 1u << 24);
	IS_REFUSED(bad.tokens[0].is_sealed = 2);
	IS_REFUSED(bad.tokens[0].sealed.blob.size = TPM_BLOB_MAX + 1);
	IS_REFUSED(bad.tokens[0].sealed.creation.size = SIZE_MAX);
	IS_REFUSED(put_text("[]"));
	IS_REFUSED(put_text("{\"a\":1},\"x\":{}"));
	IS_REFUSED(put_text("{\"a\":1},{}"));
	IS_REFUSED(put_text("{\"a\":\"\n\"}"));
	IS_REFUSED(put_text("{\"type\":\"x\"}"));
	IS_REFUSED(put_text("{\"a\":1,\"keyslots\":[]}"));
	IS_REFUSED(put_text("{\"t\\u0079pe\":\"x\"}"));
	IS_REFUSED(put_text("{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"));
	bad = good;
	put_text("{\"a\":{\"type\":1,\"keyslots\":2}}");
	CHECK_INT(luks_form_check(&bad, &expect, DISK_SIZE, why), 0);
}

TEST(header_that_is_made_of_the_fields_reads_the_same)
{
	static uint8_t copies[2 * LUKS_COPY_MAX];

	read_good();
	bad = good;
	bad.keyslots = 0x85;
	bad.slots[2] = bad.slots[7] = bad.slots[0];
	bad.slots[2].area.offset += bad.slots[0].area.size;
	bad.slots[7].area.offset += 2 * bad.slots[0].area.size;
	bad.slots[2].priority = 2;
	bad.slots[7].kdf = (struct luks_kdf){.type = 2, .cost = 4, .memory = 64, .cpus = 1, .salt = good.digest.salt};
	bad.flags = 5;
	snprintf(bad.label, sizeof(bad.label), "a label");
	bad.tokens[3] = (struct luks_token){.type = "other", .keyslots = 0x84, .at = bad.texts_size, .size = 2};
	memcpy(bad.texts + bad.texts_size, "{}", 2);
	bad.texts_size += 2;
	CHECK_INT(luks_form_check(&bad, &expect, DISK_SIZE, why), 0);
	CHECK_INT(luks_form_write(&bad, &expect, 0, copies, why), 0);
	CHECK_INT(luks_header_check(copies, 2 * bad.copy_size, DISK_SIZE, &expect, &good, why), 0);
	CHECK_MEM(&good, &bad, sizeof(bad));
}

TEST(metadata_that_would_not_fit_is_refused)
{
	static uint8_t copies[2 * LUKS_COPY_MAX];

	read_good();
	bad = good;
	bad.tokens[0].at = 0;
	bad.tokens[0].size = 12288;
	memset(bad.texts, ' ', 12288);
	bad.texts[0] = '{';
	bad.texts[12287] = '}';
	CHECK_INT(luks_form_check(&bad, &expect, DISK_SIZE, why), 0);
	CHECK_INT(luks_form_write(&bad, &expect, 0, copies, why), -EBADMSG);
	CHECK(strstr(why, "does not fit") != NULL);
}
