/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS2 volumes in files: what we make opens with our key only, Debian's cryptsetup reads it, and every header that
 * is not of that shape is refused with its reason, whether made by cryptsetup or by changing a good one (with
 * checksums made right again, as a hostile host would). Refusing must not change a byte. /dev/mapper is not needed.
 */
/* links: stages/lib/luks.c stages/lib/luksheader.c stages/lib/secret.c */
/* libs: cryptsetup json-c mbedtls */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>

#include <mbedtls/sha256.h>

#include "../../stages/lib/luks.h"
#include "test.h"

#define DISK_SIZE (64u << 20)
#define COPY      16384
#define KEY       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TOKEN     "{\"type\":\"gantry-tpm2\",\"keyslots\":[\"0\"],\"tpm2-blob\":\"AAEC\"}"
#define CRYPTSETUP "cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "

static char path[64];
static char why[LUKS_WHY_MAX];

static int new_disk(void)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/test-luks-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0 && ftruncate(fd, DISK_SIZE) == 0);
	setenv("DISK", path, 1);
	setenv("KEY", KEY, 1);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	return fd;
}

static void remove_disk(int fd)
{
	close(fd);
	unlink(path);
}

static void format(int fd)
{
	_cleanup_secret_ struct secret key = {0};
	struct luks *luks = NULL;
	int r;

	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	r = luks_format(path, &key, TOKEN, &luks, why);
	if (r < 0)
		FAIL("format: %d %s", r, why);
	CHECK_INT(luks_commit(luks, fd), 0);
	luks_close(luks);
}

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

static int try_key(int fd, const char *text)
{
	_cleanup_secret_ struct secret key = {0};
	struct luks *luks = NULL;
	int r;

	CHECK_INT(secret_copy(text, strlen(text), &key), 0);
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
	r = luks_activate(luks, NULL, -1, &key, why);
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

static void shell(const char *command)
{
	CHECK_INT(system(command), 0);
}

static void is_refused_after(const char *command, const char *word)
{
	int fd = new_disk();

	shell(command);
	is_refused(fd, word);
	remove_disk(fd);
}

static void seal_copy(uint8_t *copy)
{
	memset(copy + 448, 0, 64);
	CHECK_INT(mbedtls_sha256(copy, COPY, copy + 448, 0), 0);
}

/* Replaces words of the metadata in both copies and makes the checksums right. */
static void edit(int fd, const char *from, const char *to)
{
	uint8_t copies[2 * COPY];

	CHECK_INT(pread(fd, copies, sizeof(copies), 0), sizeof(copies));
	for (int i = 0; i < 2; i++) {
		char *json = (char *)copies + i * COPY + 4096, *at = strstr(json, from);
		size_t rest;

		if (!at)
			FAIL("%s is not in %s", from, json);
		rest = strlen(at + strlen(from)) + 1;
		memmove(at + strlen(to), at + strlen(from), rest);
		memcpy(at, to, strlen(to));
		memset(json + strlen(json), 0, COPY - 4096 - strlen(json));
		seal_copy(copies + i * COPY);
	}
	CHECK_INT(pwrite(fd, copies, sizeof(copies), 0), sizeof(copies));
}

static void is_refused_edited(const char *from, const char *to, const char *word)
{
	int fd = new_disk();

	format(fd);
	edit(fd, from, to);
	is_refused(fd, word);
	remove_disk(fd);
}

TEST(our_volume_opens_with_its_key_and_no_other)
{
	int fd = new_disk();

	format(fd);
	CHECK_INT(try_key(fd, KEY), 0);
	CHECK_INT(try_key(fd, KEY "x"), -EPERM);
	CHECK_STR(why, "wrong key");
	remove_disk(fd);
}

TEST(formatting_writes_nothing_before_the_commit)
{
	_cleanup_secret_ struct secret key = {0};
	struct luks *luks = NULL;
	int fd = new_disk();
	struct stat st;

	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	CHECK_INT(luks_format(path, &key, NULL, &luks, why), 0);
	CHECK_INT(luks_activate(luks, NULL, 0, &key, why), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_blocks, 0);
	luks_close(luks);
	remove_disk(fd);
}

TEST(cryptsetup_reads_our_volume)
{
	int fd = new_disk();

	format(fd);
	shell("printf %s $KEY | cryptsetup open --test-passphrase --key-file - $DISK");
	shell("! printf wrong | cryptsetup open --test-passphrase --key-file - $DISK 2>/dev/null");
	shell("cryptsetup luksDump $DISK | grep -q 'aes-xts-plain64'");
	shell("cryptsetup luksDump $DISK | grep -q '4096 .bytes'");
	remove_disk(fd);
}

TEST(cryptsetup_s_volume_with_our_parameters_opens)
{
	int fd = new_disk();

	shell("printf %s $KEY | " CRYPTSETUP "--type luks2 --key-size 512 --sector-size 4096 --key-file - $DISK");
	CHECK_INT(try_key(fd, KEY), 0);
	shell("printf %s $KEY | cryptsetup -q luksFormat --type luks2 --pbkdf argon2id --pbkdf-memory 64 "
	      "--pbkdf-force-iterations 4 --pbkdf-parallel 1 --key-size 512 --sector-size 4096 --key-file - $DISK");
	CHECK_INT(try_key(fd, KEY), 0);
	remove_disk(fd);
}

TEST(token_of_the_header_is_found_with_its_keyslot)
{
	struct luks *luks = NULL;
	int fd = new_disk(), keyslot = -1;

	format(fd);
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
	CHECK(luks_header_token(luks_header_of(luks), "gantry-tpm2", &keyslot) != NULL);
	CHECK_INT(keyslot, 0);
	CHECK(luks_header_token(luks_header_of(luks), "other", &keyslot) == NULL);
	luks_close(luks);
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
	is_refused_after(CRYPTSETUP "--type luks2 --key-size 512 --sector-size 512 $DISK /etc/hostname",
			 "sector size 512");
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
	is_refused_edited("\"type\":\"crypt\"", "\"type\":\"linear\"", "unknown kind");
	is_refused_edited("\"type\":\"crypt\"", "\"flags\":[\"backup\"],\"type\":\"crypt\"", "unknown kind");
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
	is_refused_edited("\"json_size\"", "\"requirements\":{\"mandatory\":[\"online-reencrypt\"]},\"json_size\"",
			  "flags or requirements");
	is_refused_edited("\"config\":", "\"more\":{},\"config\":", "unknown shape");
	is_refused_edited("\"type\":\"luks2\"", "\"more\":1,\"type\":\"luks2\"", "unknown kind");
	is_refused_edited("\"type\":\"luks2\"", "\"type\":\"reencrypt\"", "unknown kind");
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
	is_refused(fd, "bytes behind");
	remove_disk(fd);
}

static void damage(int fd, off_t offset)
{
	uint8_t byte;

	CHECK_INT(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x40;
	CHECK_INT(pwrite(fd, &byte, 1, offset), 1);
}

TEST(damaged_primary_secondary_or_both_is_refused_and_not_repaired)
{
	static const struct {
		off_t first, second;
		const char *word;
	} cases[] = {
		{4096, 0, "primary copy is damaged"},
		{4200, COPY + 4200, "both copies are damaged"},
		{COPY + 5000, 0, "secondary copy is damaged"},
		{COPY, 0, "secondary copy is missing"},
		{0, 0, "primary copy is missing"},
		{448, 0, "primary copy is damaged"},
		{8, 0, "header size"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd = new_disk();

		format(fd);
		damage(fd, cases[i].first);
		if (cases[i].second)
			damage(fd, cases[i].second);
		is_refused(fd, cases[i].word);
		remove_disk(fd);
	}
}

TEST(copies_of_different_age_are_refused)
{
	uint8_t copy[COPY];
	int fd = new_disk();

	format(fd);
	CHECK_INT(pread(fd, copy, COPY, COPY), COPY);
	copy[23]++;	/* the sequence number's last byte */
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
	CHECK(strstr(why, "offset") != NULL);
	remove_disk(fd);
}

TEST(damaged_keyslot_is_a_wrong_key)
{
	int fd = new_disk();

	format(fd);
	for (off_t offset = 32768; offset < 32768 + 256000; offset += 512)
		damage(fd, offset);
	CHECK_INT(try_key(fd, KEY), -EPERM);
	remove_disk(fd);
}

TEST(base64_is_strict)
{
	uint8_t bytes[8];
	char *text = NULL;
	size_t size = 0;

	CHECK_INT(luks_base64_encode("\0\1\2\3", 4, &text), 0);
	CHECK_STR(text, "AAECAw==");
	CHECK_INT(luks_base64_decode(text, bytes, sizeof(bytes), &size), 0);
	CHECK_INT(size, 4);
	free(text);
	CHECK_INT(luks_base64_decode("AAECAw=", bytes, sizeof(bytes), &size), -EBADMSG);
	CHECK_INT(luks_base64_decode("AAE\nAw==", bytes, sizeof(bytes), &size), -EBADMSG);
	CHECK_INT(luks_base64_decode("AA*CAw==", bytes, sizeof(bytes), &size), -EBADMSG);
	CHECK_INT(luks_base64_decode("AAECAwQFBgcICQ==", bytes, sizeof(bytes), &size), -EMSGSIZE);
}
