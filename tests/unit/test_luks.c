/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS2 volumes in files: what we make opens with our key only, Debian's cryptsetup reads it, what cryptsetup makes
 * by its defaults opens too, and every header of another shape is refused with its reason, whether made by cryptsetup
 * or by changing a good one (with checksums made right again, as a hostile host would). Refusing must not change a
 * byte; a change that is cut off anywhere must leave a volume that opens. /dev/mapper is not needed.
 */
/* links: stages/lib/luks.c stages/lib/dm.c stages/lib/luksheader.c stages/lib/luksmetadata.c stages/lib/document.c stages/lib/printable.c stages/lib/secret.c */
/* libs: cryptsetup devmapper json-c mbedtls */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <mbedtls/sha256.h>

#include "../../stages/lib/luks.h"
#include "../../stages/lib/luksmetadata.h"
#include "test.h"

#define DISK_SIZE (64u << 20)
#define COPY      16384
#define KEY       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TOKEN     "{\"type\":\"gantry-tpm2\",\"keyslots\":[\"0\"],\"tpm2-blob\":\"AAEC\"}"
#define CRYPTSETUP "cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "

static char path[64];
static char why[LUKS_WHY_MAX];

/* From a power cut on, nothing reaches this descriptor any more; its last write reaches it in part. */
static int cut_fd = -1;
static size_t cut_after;

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	if (fd == cut_fd) {
		size_t part = size < cut_after ? size : cut_after;

		cut_after -= part;
		if (part && syscall(SYS_pwrite64, fd, bytes, part, offset) < 0)
			return -1;
		if (part == size)
			return (ssize_t)size;
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

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
	const struct luks_slot slot = {.key = &key, .token = TOKEN};
	struct luks *luks = NULL;
	int r;

	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	r = luks_format(path, &slot, 1, &luks, why);
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
	int keyslot = -1, r;

	CHECK_INT(secret_copy(text, strlen(text), &key), 0);
	r = luks_open(fd, path, DISK_SIZE, &luks, why);
	if (r != 1)
		FAIL("open: %d %s", r, why);
	r = luks_unlock(luks, -1, &key, &keyslot, why);
	CHECK((keyslot >= 0) == (r == 0));
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
	const struct luks_slot slot = {.key = &key};
	struct luks *luks = NULL;
	int fd = new_disk();
	struct stat st;

	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	CHECK_INT(luks_format(path, &slot, 1, &luks, why), 0);
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

TEST(volume_that_cryptsetup_made_by_its_defaults_opens_with_or_without_persistent_flags)
{
	int fd = new_disk();

	shell("printf %s $KEY | cryptsetup -q luksFormat --pbkdf-memory 8192 --pbkdf-force-iterations 4 --key-file - $DISK");
	CHECK_INT(try_key(fd, KEY), 0);
	CHECK_INT(try_key(fd, "wrong"), -EPERM);
	edit(fd, "\"json_size\"", "\"flags\":[\"no-read-workqueue\",\"no-write-workqueue\"],\"json_size\"");
	CHECK_INT(try_key(fd, KEY), 0);
	remove_disk(fd);
}

TEST(token_of_the_header_is_found_with_its_keyslot)
{
	struct luks *luks = NULL;
	int fd = new_disk(), keyslot = -1;

	format(fd);
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
	CHECK(luks_metadata_token(luks_header_of(luks), "gantry-tpm2", &keyslot) != NULL);
	CHECK_INT(keyslot, 0);
	CHECK(luks_metadata_token(luks_header_of(luks), "other", &keyslot) == NULL);
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
	is_refused_edited("\"json_size\"", "\"flags\":[\"no-read-workqueue no-write-workqueue\"],\"json_size\"",
			  "flags or requirements");
	is_refused_edited("\"json_size\"", "\"flags\":[\"\"],\"json_size\"", "flags or requirements");
	is_refused_edited("\"json_size\"", "\"flags\":{},\"json_size\"", "flags or requirements");
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

/* Replaces the keyslot of the first key by one of a second. */
static int change_keyslot(int fd, const char *token)
{
	_cleanup_secret_ struct secret key = {0}, second = {0};
	struct luks_change change = {
		.slot = {.key = &second, .token = token}, .replaces = "gantry-tpm2", .keep = -1,
	};
	struct luks *luks = NULL;
	int keyslot, r;

	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	CHECK_INT(secret_copy("second", 6, &second), 0);
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
	CHECK_INT(luks_unlock(luks, -1, &key, &keyslot, why), 0);
	r = luks_change(luks, &change, fd, why);
	luks_close(luks);
	return r;
}

TEST(keyslot_is_replaced_and_the_old_one_is_wiped)
{
	_cleanup_secret_ struct secret key = {0}, third = {0};
	uint8_t area[4096], after[4096];
	struct luks *luks = NULL;
	int fd = new_disk(), keyslot = -1;

	format(fd);
	CHECK_INT(pread(fd, area, sizeof(area), 32768), sizeof(area));
	CHECK_INT(change_keyslot(fd, TOKEN), 0);
	CHECK_INT(pread(fd, after, sizeof(after), 32768), sizeof(after));
	CHECK(memcmp(area, after, sizeof(area)) != 0);
	CHECK_INT(try_key(fd, KEY), -EPERM);
	CHECK_INT(try_key(fd, "second"), 0);
	shell("printf second | cryptsetup open --test-passphrase --key-file - $DISK");

	/* And once more on the same volume object, which goes on with the changed header. */
	CHECK_INT(secret_copy("second", 6, &key), 0);
	CHECK_INT(secret_copy("third", 5, &third), 0);
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
	CHECK_INT(luks_unlock(luks, -1, &key, &keyslot, why), 0);
	for (int i = 0; i < 3; i++) {
		struct luks_change change = {
			.slot = {.key = &third, .token = "{\"type\":\"gantry-hub\",\"keyslots\":[]}"},
			.replaces = "gantry-hub", .keep = keyslot,
		};

		CHECK_INT(luks_change(luks, &change, fd, why), 0);
	}
	CHECK(luks_metadata_token(luks_header_of(luks), "gantry-hub", &keyslot) != NULL);
	CHECK(luks_metadata_names(luks_header_of(luks), keyslot));
	luks_close(luks);
	CHECK_INT(try_key(fd, "second"), 0);
	CHECK_INT(try_key(fd, "third"), 0);
	shell("test $(cryptsetup luksDump $DISK | grep -c ': luks2$') = 2");
	remove_disk(fd);
}

TEST(change_that_is_cut_off_anywhere_leaves_a_volume_that_opens)
{
	static uint8_t before[2u << 20];
	size_t whole = 0, opened_old = 0, opened_new = 0;
	int fd = new_disk();

	format(fd);
	CHECK_INT(pread(fd, before, sizeof(before), 0), sizeof(before));
	for (size_t cut = 512;; cut += cut < 250000 || cut > 295000 ? 20480 : 1024) {
		int r;

		CHECK_INT(pwrite(fd, before, sizeof(before), 0), sizeof(before));
		cut_fd = fd;
		cut_after = cut;
		r = change_keyslot(fd, TOKEN);
		cut_fd = -1;
		if (r == 0) {
			whole = cut;
			break;
		}
		if (try_key(fd, KEY) == 0)
			opened_old++;
		else if (try_key(fd, "second") == 0)
			opened_new++;
		else
			FAIL("cut off after %zu bytes: no key opens it", cut);
	}
	CHECK(whole > 2 * 16384 + 2 * 258048 && opened_old > 10 && opened_new > 2);
	remove_disk(fd);
}

TEST(commit_that_is_cut_off_is_a_whole_volume_or_none)
{
	_cleanup_secret_ struct secret key = {0};
	const struct luks_slot slot = {.key = &key, .token = TOKEN};
	static const char mark[512] = "marked";
	struct luks *luks = NULL;
	int fd = new_disk(), r = 1;

	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	CHECK_INT(luks_format(path, &slot, 1, &luks, why), 0);
	for (size_t cut = 2048; r != 0; cut += cut < 2000000 ? 262144 : 512) {
		char first[512];

		CHECK_INT(ftruncate(fd, 0), 0);
		CHECK_INT(ftruncate(fd, DISK_SIZE), 0);
		CHECK_INT(pwrite(fd, mark, sizeof(mark), 0), sizeof(mark));
		cut_fd = fd;
		cut_after = cut;
		r = luks_commit(luks, fd);
		cut_fd = -1;
		CHECK_INT(pread(fd, first, sizeof(first), 0), sizeof(first));
		if (r < 0)
			CHECK(memcmp(first, mark, sizeof(mark)) == 0);
	}
	CHECK_INT(try_key(fd, KEY), 0);
	luks_close(luks);
	remove_disk(fd);
}

TEST(header_of_a_larger_disk_is_refused_on_a_tiny_one)
{
	struct luks *luks = NULL;
	int fd = new_disk();

	format(fd);
	CHECK_INT(luks_open(fd, path, 2u << 20, &luks, why), -EBADMSG);
	CHECK(strstr(why, "behind the end") != NULL);
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
