/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS2 volumes in files: what we make opens with our key only, Debian's cryptsetup reads it, what cryptsetup makes
 * by its defaults opens too; a change that is cut off anywhere must leave a volume that opens.
 */
/* links: disk stages/lib init/lib */
/* libs: cryptsetup devmapper json-c mbedtls libseccomp */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/syscall.h>

#include <json-c/json.h>
#include <libcryptsetup.h>

#include "stages/disk/luksform.h"
#include "luks_disk.h"

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
	CHECK_INT(luks_format(path, DISK_SIZE, NULL, &slot, 1, &luks, why), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_blocks, 0);
	luks_close(luks);
	remove_disk(fd);
}

TEST(proof_of_a_volume_needs_its_key_and_depends_on_the_text)
{
	_cleanup_secret_ struct secret key = {0};
	const struct luks_slot slot = {.key = &key};
	struct luks *one = NULL, *other = NULL, *locked = NULL;
	uint8_t proof[32], again[32];
	int fd = new_disk();

	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	CHECK_INT(luks_format(path, DISK_SIZE, NULL, &slot, 1, &one, why), 0);
	CHECK_INT(luks_format(path, DISK_SIZE, luks_uuid(one), &slot, 1, &other, why), 0);
	CHECK_STR(luks_uuid(other), luks_uuid(one));
	CHECK_INT(luks_proof(one, "text", proof), 0);
	CHECK_INT(luks_proof(one, "text", again), 0);
	CHECK_MEM(proof, again, sizeof(proof));
	CHECK_INT(luks_proof(one, "other", again), 0);
	CHECK(memcmp(proof, again, sizeof(proof)) != 0);
	CHECK_INT(luks_proof(other, "text", again), 0);
	CHECK(memcmp(proof, again, sizeof(proof)) != 0);
	CHECK_INT(luks_commit(one, fd), 0);
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &locked, why), 1);
	CHECK_INT(luks_proof(locked, "text", again), -EIO);
	CHECK_INT(luks_unlock(locked, -1, &key, &(int){0}, why), 0);
	CHECK_INT(luks_proof(locked, "text", again), 0);
	CHECK_MEM(proof, again, sizeof(proof));
	luks_close(one);
	luks_close(other);
	luks_close(locked);
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
	int fd = new_disk();

	format(fd);
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), 1);
	CHECK(luks_form_token(luks_header_of(luks), "gantry-tpm2", NULL) != NULL);
	CHECK_INT(luks_form_keyslots(luks_header_of(luks), "gantry-tpm2"), 1u << 0);
	CHECK(luks_form_token(luks_header_of(luks), "other", NULL) == NULL);
	CHECK_INT(luks_form_keyslots(luks_header_of(luks), "other"), 0);
	luks_close(luks);
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

static const char *other_uuid;	/* what a changed header says; NULL: what it said before */

int crypt_keyslot_add_by_volume_key(struct crypt_device *device, int keyslot, const char *volume_key, size_t size,
				    const char *key, size_t key_size)
{
	static int (*real)(struct crypt_device *, int, const char *, size_t, const char *, size_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "crypt_keyslot_add_by_volume_key");
	if (other_uuid)
		CHECK_INT(crypt_set_uuid(device, other_uuid), 0);
	return real(device, keyslot, volume_key, size, key, key_size);
}

TEST(changed_header_with_another_uuid_is_not_written)
{
	static uint8_t before[2u << 20], after[2u << 20];
	int fd = new_disk();

	format(fd);
	CHECK_INT(pread(fd, before, sizeof(before), 0), sizeof(before));
	other_uuid = "00112233-4455-6677-8899-aabbccddeeff";
	CHECK_INT(change_keyslot(fd, TOKEN), -EBADMSG);
	other_uuid = NULL;
	CHECK_INT(pread(fd, after, sizeof(after), 0), sizeof(after));
	CHECK(memcmp(before, after, sizeof(after)) == 0);
	CHECK_INT(try_key(fd, KEY), 0);
	remove_disk(fd);
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
	keyslot = __builtin_ctz(luks_form_keyslots(luks_header_of(luks), "gantry-hub"));
	CHECK(luks_form_names(luks_header_of(luks), keyslot));
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
	CHECK_INT(luks_format(path, DISK_SIZE, NULL, &slot, 1, &luks, why), 0);
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

TEST(token_of_another_program_is_kept_by_a_change_as_it_is)
{
	int fd = new_disk();

	format(fd);
	shell("printf '{\"type\":\"clevis\",\"keyslots\":[],\"jwe\":{\"a/b\":[1,2.50,-0,true,null,\"\\\\u00e9 \\\\\"\"]},\"n\":{}}' "
	      ">$DISK.token && cryptsetup token import --token-id 5 --json-file $DISK.token $DISK && "
	      "cryptsetup config --label 'a label' --subsystem sub $DISK && "
	      "cryptsetup token export --token-id 5 $DISK >$DISK.before");
	CHECK_INT(change_keyslot(fd, "{\"type\":\"gantry-hub\",\"keyslots\":[]}"), 0);
	shell("cryptsetup token export --token-id 5 $DISK | cmp - $DISK.before && rm $DISK.before $DISK.token");
	shell("cryptsetup luksDump $DISK | grep -q '^Label:.*a label$'");
	shell("cryptsetup luksDump $DISK | grep -q '^Subsystem:.*sub$'");
	CHECK_INT(try_key(fd, "second"), 0);
	remove_disk(fd);
}

TEST(numbers_of_digest_keyslots_and_tokens_may_be_any)
{
	int fd = new_disk();

	format(fd);
	edit(fd, "\"digests\":{\"0\"", "\"digests\":{\"1\"");
	CHECK_INT(try_key(fd, KEY), 0);
	shell("printf %s $KEY >$DISK.k; printf last >$DISK.n; cryptsetup -q luksAddKey --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "
	      "--key-file $DISK.k --new-keyfile $DISK.n --new-key-slot 31 $DISK; rm $DISK.k $DISK.n");
	shell("printf '{\"type\":\"gantry-hub\",\"keyslots\":[\"31\"]}' | cryptsetup token import --token-id 31 --json-file - $DISK");
	CHECK_INT(try_key(fd, "last"), 0);
	CHECK_INT(change_keyslot(fd, TOKEN), 0);
	CHECK_INT(try_key(fd, "last"), 0);
	CHECK_INT(try_key(fd, "second"), 0);
	shell("printf second | cryptsetup open --test-passphrase --key-file - $DISK");
	shell("cryptsetup token export --token-id 31 $DISK | grep -q gantry-hub");
	remove_disk(fd);
}

static int fault;	/* the signal that the JSON library ends by; 0: it works */

struct json_object *json_tokener_parse_ex(struct json_tokener *tokener, const char *text, int size)
{
	struct json_object *(*real)(struct json_tokener *tokener, const char *text, int size) =
		dlsym(RTLD_NEXT, "json_tokener_parse_ex");

	if (fault) {
		signal(fault, SIG_DFL);
		syscall(SYS_tgkill, getpid(), getpid(), fault);
	}
	return real(tokener, text, size);
}

TEST(header_that_makes_the_json_library_crash_is_refused_and_the_stage_lives)
{
	struct luks *luks = NULL;
	int fd = new_disk();

	format(fd);
	fault = SIGSEGV;
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), -EBADMSG);
	CHECK(strncmp(why, "its reader was ended by signal 11", 33) == 0);
	fault = SIGKILL;
	CHECK_INT(luks_open(fd, path, DISK_SIZE, &luks, why), -EAGAIN);
	CHECK(strncmp(why, "cannot be read: its reader was ended by signal 9", 48) == 0);
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
