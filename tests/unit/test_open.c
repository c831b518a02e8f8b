/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening a volume, from its header to the last step that cannot be taken back: volumes of real keyslots in files, with a
 * TPM's owner that answers what the test wants and whose requests are counted. /dev/mapper and mounts are left out.
 */
/* links: disk stages/lib init/lib */
/* libs: cryptsetup devmapper json-c mbedtls libseccomp blkid */
#define _GNU_SOURCE
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <gantry/tpm.h>
#include <json-c/json.h>
#include <libcryptsetup.h>

#include "luks_disk.h"
#include "init/lib/base64.h"
#include "stages/disk/finish.h"
#include "stages/disk/open.h"
#include "stages/lib/dm.h"
#include "stages/lib/report.h"
#include "stages/lib/tpmwire.h"

/* ---- what the stage says */

static char said[8192], result[400];

static void note(char *to, size_t room, const char *fmt, va_list arguments)
{
	size_t used = strlen(to);

	vsnprintf(to + used, room - used, fmt, arguments);
	strncat(to, "\n", room - strlen(to) - 1);
}

void report_event(enum event_level level, const char *fmt, ...)
{
	va_list arguments;

	(void)level;
	va_start(arguments, fmt);
	note(said, sizeof(said), fmt, arguments);
	va_end(arguments);
}

int report_result(const char *fmt, ...)
{
	va_list arguments;

	result[0] = '\0';
	va_start(arguments, fmt);
	note(result, sizeof(result), fmt, arguments);
	va_end(arguments);
	return 0;
}

int report_send(int kind, const void *body, size_t size)
{
	(void)kind, (void)body, (void)size;
	return 0;
}

static const char *hub_key;	/* NULL: it comes from nowhere */
static bool mounted;		/* when the hub was last asked */
static bool is_mounted;

int report_take(const char *artifact, int timeout_ms, int *ret_fd)
{
	int fd;

	(void)timeout_ms;
	mounted = is_mounted;
	if (!hub_key || strcmp(artifact, "disk-key") != 0)
		return -ENOENT;
	fd = memfd_create("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(fd >= 0 && write(fd, hub_key, strlen(hub_key)) == (ssize_t)strlen(hub_key) && lseek(fd, 0, SEEK_SET) == 0);
	CHECK_INT(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
	*ret_fd = fd;
	return 0;
}

static bool has_said(const char *text)
{
	return strstr(said, text) != NULL;
}

/* ---- the TPM's owner, in a process of its own */

static struct owner {
	uint32_t kinds[64];
	uint32_t n;
	int32_t fails[TPM_REQUEST_MAX];	/* the error of the next such request */
	bool measured;			/* whether PCRs are other than zero */
} *owner;

/* A blob of one byte N is a key of 64 bytes N, unless N is 0. */
static size_t unseal(const void *body, uint8_t *ret)
{
	struct tpm_unseal_request request;

	memcpy(&request, body, sizeof(request));
	memset(ret, request.sealed.blob.bytes[0], 64);
	return request.sealed.blob.bytes[0] ? 64 : 0;
}

static void answer(int fd, const uint8_t *bytes)
{
	struct {
		struct tpm_answer head;
		uint8_t body[4096];
	} out = {.head.error = 0};
	struct tpm_request head;
	const void *body = bytes + sizeof(head);

	memcpy(&head, bytes, sizeof(head));
	owner->kinds[owner->n++ % 64] = head.kind;
	out.head.error = owner->fails[head.kind];
	owner->fails[head.kind] = 0;
	if (out.head.error == 0 && head.kind == TPM_CLOSE_KEYS)
		out.head.size = sizeof(uint32_t);
	if (out.head.error == 0 && head.kind == TPM_PCR_READ) {
		out.head.size = TPM_DIGEST_SIZE;
		memset(out.body, owner->measured, TPM_DIGEST_SIZE);
	}
	if (out.head.error == 0 && head.kind == TPM_UNSEAL && !(out.head.size = (uint32_t)unseal(body, out.body)))
		out.head.error = -EKEYREJECTED;
	if (out.head.error < 0)
		snprintf(out.head.reason, sizeof(out.head.reason), "refused with %d", out.head.error);
	CHECK(send(fd, &out, sizeof(out.head) + out.head.size, 0) > 0);
}

static void start_owner(void)
{
	int fds[2];
	pid_t pid;

	owner = mmap(NULL, sizeof(*owner), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(owner != MAP_FAILED && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
	pid = fork();
	if (pid == 0) {
		static _Alignas(8) uint8_t bytes[8192];

		close(fds[0]);
		while (recv(fds[1], bytes, sizeof(bytes), 0) > 0)
			answer(fds[1], bytes);
		_exit(0);
	}
	CHECK(pid > 0 && dup2(fds[0], TPM_CLIENT_FD) == TPM_CLIENT_FD);
	close(fds[1]);
	if (fds[0] != TPM_CLIENT_FD)
		close(fds[0]);
}

static unsigned count(enum tpm_request_kind kind)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < owner->n; i++)
		n += owner->kinds[i] == kind;
	return n;
}

/* ---- device-mapper and mounts, which are not here */

static unsigned removed;
static char activated[40000];	/* the metadata by which it was */

int crypt_activate_by_volume_key(struct crypt_device *device, const char *name, const char *key, size_t size, uint32_t flags)
{
	const char *json = NULL;

	(void)name, (void)flags;
	CHECK_INT(crypt_dump_json(device, &json, 0), 0);
	snprintf(activated, sizeof(activated), "%s", json);
	return crypt_volume_key_verify(device, key, size);
}

void dm_be_quiet(void)
{
}

bool dm_do(int type, const char *name)
{
	(void)type, (void)name;
	removed++;
	return true;
}

int dm_find(const char *name, char *ret, size_t size)
{
	(void)name;
	snprintf(ret, size, "CRYPT-LUKS2-");
	return 1;
}

bool ext4_is_mounted(const char *device, const char *directory)
{
	(void)device, (void)directory;
	return is_mounted;
}

int ext4_bring_up(const char *device, const char *directory, const struct ext4_options *options,
		  char ret_why[EXT4_WHY_MAX])
{
	(void)device, (void)directory, (void)options, (void)ret_why;
	is_mounted = true;
	return 0;
}

int ext4_look(const char *directory, char ret_why[EXT4_WHY_MAX])
{
	(void)directory, (void)ret_why;
	return 0;
}

int ext4_grow(const char *device, const char *directory, uint64_t size)
{
	(void)device, (void)directory, (void)size;
	return 0;
}

/* ---- a machine */

static struct stage_context context;
static struct work work;
static int disk;

static void new_machine(const char *token)
{
	_cleanup_secret_ struct secret key = {0};
	const struct luks_slot slot = {.key = &key, .token = token};
	struct luks *luks = NULL;

	start_owner();
	disk = new_disk();
	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	CHECK_INT(luks_format(path, DISK_SIZE, NULL, &slot, 1, &luks, why), 0);
	CHECK_INT(luks_commit(luks, disk), 0);
	luks_close(luks);
	context = (struct stage_context){.name = "disk", .options = json_tokener_parse("{\"scheduler\":\"none\"}")};
	work = (struct work){.context = &context, .name = "test", .mount = "/no-such-mount", .fd = disk,
			     .device = "/no-such-device", .place.artifact_wait_ms = -1};
	work.place.pcrs = 1u << 15;
	work.disk.size = DISK_SIZE;
	snprintf(work.disk.name, sizeof(work.disk.name), "test");
	snprintf(work.disk.path, sizeof(work.disk.path), "%.*s", (int)sizeof(work.disk.path) - 1, path);
}

static void sources(const struct key_source *list[], size_t *ret_n, const char *names)
{
	char copy[80], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", names);
	*ret_n = 0;
	while ((name = strsep(&rest, " ")))
		list[(*ret_n)++] = key_source_named(name);
}

/* What disk_open() ends with. */
static int open_with(const char *keys, const char *enroll)
{
	struct luks *luks = NULL;
	int r;

	said[0] = result[0] = work.reasons[0] = '\0';
	is_mounted = false;
	sources(work.keys, &work.n_keys, keys);
	work.n_enroll = 0;
	if (enroll)
		sources(work.enroll, &work.n_enroll, enroll);
	CHECK_INT(luks_open(disk, path, DISK_SIZE, &luks, why), 1);
	r = disk_open(&work, luks);
	luks_close(luks);
	return r;
}

static void end_machine(void)
{
	json_object_put(context.options);
	remove_disk(disk);
}

#define HUB_TOKEN "{\"type\":\"gantry-hub\",\"keyslots\":[]}"

/* ---- order */

TEST(what_may_fail_comes_before_pcr_15_is_extended)
{
	new_machine(HUB_TOKEN);
	hub_key = KEY;
	work.use_intent = true;
	work.place.policy_key = "/no-such-key";
	CHECK_INT(open_with("hub", NULL), STAGE_DONE);
	CHECK_INT(count(TPM_VERSION_RAISE), 1);
	CHECK_INT(count(TPM_RECORD_READ), 1);
	CHECK_INT(count(TPM_CLOSE_KEYS), 1);
	CHECK_INT(owner->kinds[owner->n - 1], TPM_CLOSE_KEYS);
	end_machine();
}

TEST(counter_that_cannot_be_written_once_costs_an_attempt_and_leaves_pcr_15_as_it_is)
{
	new_machine(HUB_TOKEN);
	hub_key = KEY;
	work.place.policy_key = "/no-such-key";
	owner->fails[TPM_VERSION_RAISE] = -EIO;
	CHECK_INT(open_with("hub", NULL), STAGE_AGAIN);
	CHECK_STR(result, "test (): raising the version counter failed: refused with -5\n");
	CHECK_INT(count(TPM_CLOSE_KEYS), 0);
	CHECK_INT(removed, 1);
	CHECK_INT(open_with("hub", NULL), STAGE_DONE);
	CHECK_INT(count(TPM_CLOSE_KEYS), 1);
	end_machine();
}

TEST(tpm_without_room_for_the_counter_opens_and_says_what_is_lost)
{
	new_machine(HUB_TOKEN);
	hub_key = KEY;
	work.place.policy_key = "/no-such-key";
	owner->fails[TPM_VERSION_RAISE] = -ENOSPC;
	CHECK_INT(open_with("hub", NULL), STAGE_DONE);
	CHECK(has_said("no room for a version counter in the TPM, so tpm2-signed opens nothing: refused with -28"));
	CHECK_INT(count(TPM_CLOSE_KEYS), 1);
	end_machine();
}

TEST(volume_stays_open_for_the_next_attempt_when_pcr_15_cannot_be_extended)
{
	struct luks *luks = NULL;

	new_machine(HUB_TOKEN);
	hub_key = KEY;
	owner->fails[TPM_CLOSE_KEYS] = -EIO;
	CHECK_INT(open_with("hub", NULL), STAGE_AGAIN);
	CHECK_STR(result, "test (): locking the TPM's disk keys for this boot (PCR 15) failed: refused with -5\n");
	CHECK_INT(removed, 0);
	CHECK(!is_mounted);
	CHECK_INT(luks_open(disk, path, DISK_SIZE, &luks, why), 1);
	CHECK_INT(disk_resume(&work, luks), STAGE_DONE);
	CHECK(is_mounted);
	CHECK_INT(count(TPM_CLOSE_KEYS), 2);
	luks_close(luks);
	end_machine();
}

TEST(volume_that_is_mounted_already_is_not_mounted_again_but_settled)
{
	struct luks *luks = NULL;
	char folder[] = "/tmp/test-open-XXXXXX", made[64];
	struct stat st;

	new_machine(HUB_TOKEN);
	CHECK(mkdtemp(folder) != NULL);
	json_object_put(context.options);
	context.options = json_tokener_parse("{\"scheduler\":\"none\",\"directories\":"
					     "[{\"path\":\"made\",\"user\":\"root\",\"mode\":\"0711\"}]}");
	work.mount = folder;
	is_mounted = true;
	CHECK_INT(luks_open(disk, path, DISK_SIZE, &luks, why), 1);
	CHECK_INT(disk_resume(&work, luks), STAGE_DONE);
	snprintf(made, sizeof(made), "%s/made", folder);
	CHECK(stat(made, &st) == 0 && (st.st_mode & 07777) == 0711);
	CHECK_INT(count(TPM_CLOSE_KEYS), 1);
	rmdir(made);
	rmdir(folder);
	luks_close(luks);
	end_machine();
}

/* ---- sizes */

TEST(volume_is_of_all_whole_sectors_whatever_the_disk_s_size_is)
{
	_cleanup_secret_ struct secret key = {0};
	const struct luks_slot slot = {.key = &key, .token = HUB_TOKEN};
	struct luks *luks = NULL;
	char wanted[40];

	new_machine(HUB_TOKEN);
	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	for (uint64_t size = DISK_SIZE; size < DISK_SIZE + 4 * 4096; size += 1536) {
		snprintf(wanted, sizeof(wanted), "\"size\":\"%" PRIu64 "\"", (size - (2u << 20)) / 4096 * 4096);
		CHECK_INT(ftruncate(disk, (off_t)size), 0);
		/* A new one, which would be larger than the disk otherwise; and one that was there when the disk grew. */
		CHECK_INT(luks_format(path, size, NULL, &slot, 1, &luks, why), 0);
		if (luks_activate(luks, "test", false, why) < 0)
			FAIL("%s", why);
		if (!strstr(activated, wanted))
			FAIL("%s is not in %s", wanted, activated);
		CHECK_INT(luks_commit(luks, disk), 0);
		luks = luks_close(luks);
		CHECK_INT(luks_open(disk, path, size, &luks, why), 1);
		CHECK_INT(luks_unlock(luks, 0, &key, &(int){0}, why), 0);
		CHECK_INT(luks_activate(luks, "test", false, why), 0);
		CHECK(strstr(activated, wanted) != NULL);
		luks = luks_close(luks);
		shell("cryptsetup luksDump --dump-json-metadata $DISK | grep -q '\"size\": *\"dynamic\"'");
	}
	CHECK_INT(luks_format(path, (4u << 20) - 512, NULL, &slot, 1, &luks, why), -ENOSPC);
	end_machine();
}

/* ---- several tokens, and keyslots that no token names */

#define IMPORT(type, slots) "printf '{\"type\":\"" type "\",\"keyslots\":[" slots "]}' | cryptsetup token import --json-file - $DISK; "
#define ADD_KEY(key, slot) "(printf %s $KEY >$DISK.k; printf '" key "' >$DISK.n; cryptsetup -q luksAddKey --pbkdf pbkdf2 " \
	"--pbkdf-force-iterations 1000 --key-file $DISK.k --new-keyfile $DISK.n --new-key-slot " slot " $DISK; rm $DISK.k $DISK.n); "

TEST(keyslot_that_a_token_names_is_a_hint)
{
	new_machine(NULL);
	shell(ADD_KEY("the key of last year", "1") IMPORT("gantry-hub", "\"1\""));
	hub_key = KEY;
	CHECK_INT(open_with("hub", NULL), STAGE_DONE);
	CHECK(has_said("opened by hub, keyslot 0"));
	hub_key = "the key of last year";
	CHECK_INT(open_with("hub", NULL), STAGE_DONE);
	CHECK(has_said("opened by hub, keyslot 1"));
	hub_key = "neither";
	CHECK_INT(open_with("hub", NULL), -ENOKEY);
	CHECK_STR(work.reasons, "hub: wrong key");
	end_machine();
}

/* The passphrase of the key in a blob of that byte. */
static void passphrase(uint8_t byte, char ret[BASE64_SIZE(64)])
{
	uint8_t bytes[64];

	memset(bytes, byte, sizeof(bytes));
	base64_encode(bytes, sizeof(bytes), false, ret);
}

TEST(each_sealed_key_is_tried_and_each_refusal_is_told)
{
	char text[BASE64_SIZE(64)];

	new_machine(NULL);
	passphrase(7, text);
	setenv("SEALED", text, 1);
	/* Of another machine, of other PCRs, of none that opens anything, and the one that does. */
	shell("(printf %s $KEY >$DISK.k; printf %s $SEALED >$DISK.n; cryptsetup -q luksAddKey --pbkdf pbkdf2 "
	      "--pbkdf-force-iterations 1000 --key-file $DISK.k --new-keyfile $DISK.n --new-key-slot 3 $DISK; rm $DISK.k $DISK.n)");
	shell("for t in '15]:AA==' '7]:Bw==' '15]:CQ==' '15]:Bw=='; do printf "
	      "'{\"type\":\"systemd-tpm2\",\"keyslots\":[\"0\",\"3\"],\"tpm2-pcrs\":[%s,\"tpm2-blob\":\"%s\",\"tpm2-policy-hash\":\"00\"}' ${t%:*} ${t#*:} | "
	      "cryptsetup token import --json-file - $DISK; done");
	CHECK_INT(open_with("tpm2", NULL), STAGE_DONE);
	CHECK(has_said("opened by tpm2, keyslot 3"));
	CHECK_STR(work.reasons, "tpm2: refused with -129; tpm2: the key in the header is sealed to other PCRs than the configured "
				"ones; tpm2: wrong key");
	end_machine();
}

TEST(keyslots_of_a_replaced_token_go_but_not_those_of_another)
{
	_cleanup_secret_ struct secret key = {0}, second = {0};
	struct luks_change change = {.slot = {.key = &second, .token = HUB_TOKEN}, .replaces = "gantry-hub"};
	struct luks *luks = NULL;
	int keyslot = -1;

	new_machine(NULL);
	shell(ADD_KEY("one", "1") ADD_KEY("two", "2") ADD_KEY("three", "5") IMPORT("gantry-hub", "\"1\",\"2\",\"5\"")
	      IMPORT("clevis", "\"2\""));
	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	CHECK_INT(secret_copy("new", 3, &second), 0);
	CHECK_INT(luks_open(disk, path, DISK_SIZE, &luks, why), 1);
	CHECK_INT(luks_unlock(luks, 0, &key, &keyslot, why), 0);
	change.keep = keyslot;
	CHECK_INT(luks_change(luks, &change, disk, why), 0);
	CHECK_INT(luks_header_of(luks)->keyslots, 1u << 0 | 1u << 2 | 1u << 3);	/* 3 is the new one */
	luks_close(luks);
	end_machine();
}

/* ---- keys that nobody needs today */

/* A volume that a key of the TPM's opens, and the hub's. */
static void with_both(void)
{
	char text[BASE64_SIZE(64)];

	new_machine(NULL);
	passphrase(7, text);
	setenv("SEALED", text, 1);
	shell("(printf %s $KEY >$DISK.k; printf %s $SEALED >$DISK.n; cryptsetup -q luksAddKey --pbkdf pbkdf2 "
	      "--pbkdf-force-iterations 1000 --key-file $DISK.k --new-keyfile $DISK.n --new-key-slot 1 $DISK; rm $DISK.k $DISK.n)");
	shell("printf '{\"type\":\"systemd-tpm2\",\"keyslots\":[\"1\"],\"tpm2-pcrs\":[15],\"tpm2-blob\":\"Bw==\",\"tpm2-policy-hash\":\"00\"}' | "
	      "cryptsetup token import --json-file - $DISK");
	shell(IMPORT("gantry-hub", "\"0\""));
}

TEST(key_that_the_hub_has_changed_is_noticed_and_enrolled_while_the_tpm_still_opens)
{
	with_both();
	hub_key = KEY;
	CHECK_INT(open_with("tpm2 hub", "tpm2 hub"), STAGE_DONE);
	CHECK(has_said("opened by tpm2") && !has_said("keyslot for") && mounted);
	hub_key = "what the hub gives out from now on";
	CHECK_INT(open_with("tpm2 hub", "tpm2 hub"), STAGE_DONE);
	CHECK(has_said("hub has another key than the keyslot for it: making a new one") && has_said("added a keyslot for hub"));
	CHECK_INT(open_with("hub", NULL), STAGE_DONE);
	hub_key = KEY;
	CHECK_INT(open_with("hub", NULL), -ENOKEY);
	end_machine();
}

TEST(hub_that_is_away_leaves_its_keyslot_alone_and_that_is_told)
{
	with_both();
	hub_key = NULL;
	CHECK_INT(open_with("tpm2 hub", "tpm2 hub"), STAGE_DONE);
	CHECK(has_said("keyslot for hub not checked: the hub did not provide disk-key"));
	hub_key = KEY;
	CHECK_INT(open_with("hub", NULL), STAGE_DONE);
	end_machine();
}

TEST(key_of_the_hub_that_opens_a_keyslot_without_a_token_gets_a_token_and_no_second_keyslot)
{
	with_both();
	shell("for t in 0 1; do cryptsetup token export --token-id $t $DISK | grep -q gantry-hub && "
	      "cryptsetup token remove --token-id $t $DISK; done; true");
	hub_key = KEY;
	CHECK_INT(open_with("tpm2 hub", "tpm2 hub"), STAGE_DONE);
	shell("test $(cryptsetup luksDump $DISK | grep -c ': luks2$') = 2");
	shell("cryptsetup luksDump $DISK | grep -q gantry-hub");
	end_machine();
}

TEST(sealed_key_whose_keyslot_is_gone_is_replaced)
{
	with_both();
	shell("printf %s $KEY >$DISK.k; cryptsetup -q luksKillSlot --key-file $DISK.k $DISK 1; rm $DISK.k");
	hub_key = KEY;
	owner->fails[TPM_SEAL] = -ENOSPC;
	CHECK_INT(open_with("tpm2 hub", "tpm2 hub"), STAGE_DONE);
	CHECK(has_said("key source tpm2: wrong key") && has_said("keyslot for tpm2 not added: refused with -28"));
	end_machine();
}

TEST(nothing_is_sealed_to_a_pcr_that_nobody_measured_unless_that_is_wanted)
{
	new_machine(HUB_TOKEN);
	hub_key = KEY;
	work.place.pcrs = 1u << 4 | 1u << 9 | 1u << 15;
	CHECK_INT(open_with("hub", "tpm2"), STAGE_DONE);
	CHECK(has_said("keyslot for tpm2 not added: nothing was measured into PCR 4, 9, so any image could open a key"));
	CHECK_INT(count(TPM_SEAL), 0);
	work.place.may_be_unmeasured = true;
	owner->fails[TPM_SEAL] = -ENOSPC;
	CHECK_INT(open_with("hub", "tpm2"), STAGE_DONE);
	CHECK(has_said("sealed to PCR 4, 9, into which nothing was measured"));
	CHECK_INT(count(TPM_SEAL), 1);
	owner->measured = true;
	work.place.may_be_unmeasured = false;
	owner->fails[TPM_SEAL] = -ENOSPC;
	CHECK_INT(open_with("hub", "tpm2"), STAGE_DONE);
	CHECK(!has_said("nothing was measured"));
	CHECK_INT(count(TPM_SEAL), 2);
	end_machine();
}
