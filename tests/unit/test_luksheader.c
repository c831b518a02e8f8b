/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every LUKS2 header of another shape than ours is refused with its reason, whether made by cryptsetup or by changing a
 * good one (with checksums made right again, as a hostile host would). Refusing must not change a byte.
 */
/* links: disk stages/lib init/lib */
/* libs: cryptsetup devmapper json-c mbedtls libseccomp */
#define _GNU_SOURCE
#include "stages/disk/luksheader.h"
#include "stages/disk/luksmetadata.h"
#include "init/lib/base64.h"
#include "luks_disk.h"

/* Opens what is on the disk, as luks_open() says; the result only. */
static int open_disk(int fd)
{
	struct luks *luks = NULL;
	int r;

	why[0] = '\0';
	r = luks_open(fd, path, DISK_SIZE, &luks, why);
	luks_close(luks);
	return r;
}

static uint8_t *read_disk(int fd)
{
	uint8_t *bytes = malloc(DISK_SIZE);

	CHECK(bytes && pread(fd, bytes, DISK_SIZE, 0) == DISK_SIZE);
	return bytes;
}

/* Refused, with that word in the reason, and not a byte changed, though the descriptor could write. */
static void is_refused(int fd, const char *word)
{
	uint8_t *before = read_disk(fd), *after;
	int r = open_disk(fd);

	if (r != -EBADMSG || !strstr(why, word))
		FAIL("%d, \"%s\", expected \"%s\"", r, why, word);
	after = read_disk(fd);
	CHECK(memcmp(before, after, DISK_SIZE) == 0);
	free(before);
	free(after);
}

static void is_refused_after(const char *command, const char *word)
{
	int fd = new_disk();

	shell(command);
	is_refused(fd, word);
	remove_disk(fd);
}

static void is_refused_edited(const char *from, const char *to, const char *word)
{
	int fd = new_disk();

	format(fd);
	edit(fd, from, to);
	is_refused(fd, word);
	remove_disk(fd);
}

TEST(what_is_no_luks_has_no_header)
{
	int fd = new_disk();

	CHECK_INT(open_disk(fd), 0);
	CHECK_INT(pwrite(fd, "LUKS", 4, 0), 4);
	CHECK_INT(open_disk(fd), 0);
	remove_disk(fd);
}

TEST(other_luks_volumes_are_refused)
{
	is_refused_after("cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 $DISK /etc/hostname",
			 "version 1");
	is_refused_after(CRYPTSETUP "--type luks2 --key-size 512 --sector-size 2048 $DISK /etc/hostname",
			 "sector size 2048");
	is_refused_after(CRYPTSETUP "--type luks2 --key-size 256 --sector-size 4096 $DISK /etc/hostname", "key size");
	is_refused_after(CRYPTSETUP "--type luks2 --cipher aes-cbc-plain64 --key-size 256 $DISK /etc/hostname",
			 "cipher \"aes-cbc-plain64\"");
	is_refused_after(CRYPTSETUP "--type luks2 --luks2-metadata-size 128k --luks2-keyslots-size 2M $DISK /etc/hostname",
			 "header size");
}

TEST(null_cipher_in_our_header_is_refused)
{
	is_refused_edited("\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\"",
			  "\"iv_tweak\":\"0\",\"encryption\":\"cipher_null-ecb\"", "cipher \"cipher_null-ecb\"");
	is_refused_edited("\"encryption\":\"aes-xts-plain64\",\"key_size\":64",
			  "\"encryption\":\"cipher_null-ecb\",\"key_size\":64", "area encryption");
}

TEST(moved_shrunk_or_doubled_segment_is_refused)
{
	is_refused_edited("\"type\":\"crypt\",\"offset\":\"2097152\"", "\"type\":\"crypt\",\"offset\":\"2097664\"", "offset");
	is_refused_edited("\"type\":\"crypt\",\"offset\":\"2097152\"", "\"type\":\"crypt\",\"offset\":\"0\"", "offset");
	is_refused_edited("\"type\":\"crypt\",\"offset\":\"2097152\"", "\"type\":\"crypt\",\"offset\":\"-4096\"", "offset");
	is_refused_edited("\"type\":\"crypt\",\"offset\":\"2097152\"",
			  "\"type\":\"crypt\",\"offset\":\"18446744073709551616\"", "offset");
	is_refused_edited("\"size\":\"dynamic\"", "\"size\":\"4096\"", "cover");
	is_refused_edited("\"iv_tweak\":\"0\"", "\"iv_tweak\":\"8\"", "cover");
	is_refused_edited("\"segments\":{\"0\":", "\"segments\":{\"1\":{},\"0\":", "one segment");
	is_refused_edited("\"type\":\"crypt\"", "\"type\":\"linear\"", "unsupported type");
	is_refused_edited("\"type\":\"crypt\"", "\"flags\":[\"backup\"],\"type\":\"crypt\"", "unsupported type");
}

TEST(costly_or_unknown_key_derivation_is_refused)
{
	is_refused_edited("\"type\":\"pbkdf2\",\"hash\":\"sha512\",\"iterations\":1000",
			  "\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":2147483647", "key derivation");
	is_refused_edited("\"type\":\"pbkdf2\",\"hash\":\"sha512\",\"iterations\":1000",
			  "\"type\":\"argon2id\",\"time\":1,\"memory\":2097152,\"cpus\":1", "key derivation");
	is_refused_edited("\"type\":\"pbkdf2\",\"hash\":\"sha512\",\"iterations\":1000",
			  "\"type\":\"none\",\"hash\":\"sha512\",\"iterations\":1000", "key derivation");
	is_refused_edited("\"stripes\":4000", "\"stripes\":1", "splitter");
}

TEST(flags_requirements_and_unknown_members_are_refused)
{
	is_refused_edited("\"json_size\"", "\"flags\":[\"allow-discards\"],\"json_size\"", "flags or requirements");
	is_refused_edited("\"json_size\"", "\"flags\":[\"no-read-workqueue no-write-workqueue\"],\"json_size\"",
			  "flags or requirements");
	is_refused_edited("\"json_size\"", "\"flags\":[\"\"],\"json_size\"", "flags or requirements");
	is_refused_edited("\"json_size\"", "\"flags\":{},\"json_size\"", "flags or requirements");
	is_refused_edited("\"json_size\"", "\"requirements\":{\"mandatory\":[\"online-reencrypt\"]},\"json_size\"",
			  "flags or requirements");
	is_refused_edited("\"config\":", "\"more\":{},\"config\":", "five known objects");
	is_refused_edited("\"type\":\"luks2\"", "\"more\":1,\"type\":\"luks2\"", "unsupported type");
	is_refused_edited("\"type\":\"luks2\"", "\"type\":\"reencrypt\"", "unsupported type");
}

TEST(keyslots_outside_their_area_or_overlapping_are_refused)
{
	is_refused_edited("\"offset\":\"32768\"", "\"offset\":\"0\"", "area");
	is_refused_edited("\"offset\":\"32768\"", "\"offset\":\"2093056\"", "area");
	is_refused_edited("\"size\":\"258048\"", "\"size\":\"4096\"", "area");
	is_refused_edited("\"keyslots\":{\"0\":", "\"keyslots\":{\"9\":", "keyslot");
	is_refused_edited("\"keyslots\":[\"0\"],\"segments\"", "\"keyslots\":[],\"segments\"", "digest");
	is_refused_edited("\"segments\":[\"0\"]", "\"segments\":[\"1\"]", "digest");
}

TEST(malformed_metadata_is_refused)
{
	is_refused_edited("{", "[", "not a JSON object");
	is_refused_edited("\"iterations\":1000", "\"iterations\":1000.5", "");
	is_refused_edited("\"config\":{", "\"config\":[[[[[[[[[[[[[[[[[[[[[[[[{", "not a JSON object");
}

TEST(bytes_behind_the_metadata_are_refused)
{
	uint8_t copies[2 * COPY];
	int fd = new_disk();

	format(fd);
	CHECK_INT(pread(fd, copies, sizeof(copies), 0), sizeof(copies));
	copies[COPY - 1] = copies[2 * COPY - 1] = 'x';
	seal_copy(copies);
	seal_copy(copies + COPY);
	CHECK_INT(pwrite(fd, copies, sizeof(copies), 0), sizeof(copies));
	is_refused(fd, "bytes after the end");
	remove_disk(fd);
}

TEST(one_good_copy_is_enough_and_nothing_is_repaired_before_it_is_asked_for)
{
	static const struct {
		off_t at;
		enum luks_copies left;
	} cases[] = {
		{4096, LUKS_COPIES_SECONDARY}, {0, LUKS_COPIES_SECONDARY}, {448, LUKS_COPIES_SECONDARY},
		{8, LUKS_COPIES_SECONDARY}, {7, LUKS_COPIES_SECONDARY}, {COPY + 5000, LUKS_COPIES_PRIMARY},
		{COPY, LUKS_COPIES_PRIMARY},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t *before, *after;
		struct luks *luks = NULL;
		int fd = new_disk();

		format(fd);
		damage(fd, cases[i].at);
		before = read_disk(fd);
		CHECK_INT(try_key(fd, KEY), 0);
		after = read_disk(fd);
		CHECK(memcmp(before, after, DISK_SIZE) == 0);
		CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
		CHECK_INT(luks_header_of(luks)->copies, cases[i].left);
		CHECK_INT(luks_repair(luks, fd), 1);
		luks_close(luks);
		CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
		CHECK_INT(luks_header_of(luks)->copies, LUKS_COPIES_BOTH);
		CHECK_INT(luks_repair(luks, fd), 0);
		luks_close(luks);
		shell("printf %s $KEY | cryptsetup open --test-passphrase --key-file - $DISK");
		free(before);
		free(after);
		remove_disk(fd);
	}
}

TEST(two_damaged_copies_are_refused)
{
	int fd = new_disk();

	format(fd);
	damage(fd, 4200);
	damage(fd, COPY + 4200);
	is_refused(fd, "both copies are damaged");
	remove_disk(fd);
}

/* A hostile copy that is newer, and one that is the only one left: neither gets past the check. */
TEST(copy_that_is_left_is_checked_like_any_other)
{
	int fd = new_disk();

	format(fd);
	edit(fd, "\"size\":\"dynamic\"", "\"size\":\"4096\"");
	damage(fd, 0);
	is_refused(fd, "cover");
	remove_disk(fd);
}

TEST(newer_of_two_good_copies_counts)
{
	uint8_t copy[COPY];
	struct luks *luks = NULL;
	int fd = new_disk();

	format(fd);
	CHECK_INT(pread(fd, copy, COPY, COPY), COPY);
	copy[23]++;	/* the sequence number's last byte */
	seal_copy(copy);
	CHECK_INT(pwrite(fd, copy, COPY, COPY), COPY);
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
	CHECK_INT(luks_header_of(luks)->copies, LUKS_COPIES_SECONDARY);
	luks_close(luks);
	CHECK_INT(try_key(fd, KEY), 0);
	remove_disk(fd);
}

TEST(copies_of_the_same_age_that_differ_are_refused)
{
	uint8_t copy[COPY];
	int fd = new_disk();

	format(fd);
	CHECK_INT(pread(fd, copy, COPY, COPY), COPY);
	copy[4096 + strlen((char *)copy + 4096)] = ' ';
	seal_copy(copy);
	CHECK_INT(pwrite(fd, copy, COPY, COPY), COPY);
	is_refused(fd, "copies differ");
	remove_disk(fd);
}

TEST(header_of_a_larger_disk_is_refused_on_a_tiny_one)
{
	struct luks *luks = NULL;
	int fd = new_disk();

	format(fd);
	CHECK_INT(luks_open(fd, path, 2u << 20, &luks, why), -EBADMSG);
	CHECK(strstr(why, "beyond the end") != NULL);
	remove_disk(fd);
}
