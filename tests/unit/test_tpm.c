/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sealing, PCRs and NV against a real TPM: swtpm, one for each test, new, on a socket. It has no resource manager, so
 * a handle that is not flushed shows as a TPM that runs out of room.
 */
/* links: stages/lib stages/tpm stages/disk init/lib */
/* libs: tss2 tss2-tcti-device tss2-tcti-swtpm mbedtls */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include <gantry/tpm.h>

#include "init/lib/fdpass.h"
#include "stages/disk/intent.h"
#include "stages/tpm/nv.h"
#include "stages/tpm/seal.h"
#include "stages/tpm/serve.h"
#include "test.h"

#define PCRS   (1u << 4 | 1u << 9 | 1u << 11 | 1u << 15)
static const char VOLUME[TPM_VOLUME_MAX] = "volume";
#define SECRET "sixty-four bytes that nobody but this boot of this image can see"

static char folder[64], tcti[128];
static pid_t server;
static const struct tpm_policy plain = {.pcrs = PCRS};
static uint8_t policy_digest[TPM_DIGEST_SIZE];

static void start_tpm(void)
{
	char state[96], control[160], data[160];
	const struct timespec moment = {.tv_nsec = 20000000};
	struct stat st;

	snprintf(state, sizeof(state), "dir=%s", folder);
	snprintf(data, sizeof(data), "type=unixio,path=%s/socket", folder);
	snprintf(control, sizeof(control), "type=unixio,path=%s/socket.ctrl", folder);
	snprintf(tcti, sizeof(tcti), "swtpm:path=%s/socket", folder);
	server = fork();
	CHECK(server >= 0);
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen("/dev/null", "w", stderr))	/* it tells each disconnection */
			_exit(127);
		execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", data, "--ctrl", control,
		       "--flags", "not-need-init,startup-clear", NULL);
		_exit(127);
	}
	for (int i = 0; i < 250; i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/socket", folder);
		if (stat(path, &st) == 0)
			return;
		nanosleep(&moment, NULL);
	}
	FAIL("swtpm did not start");
}

static void stop_tpm(void)
{
	char path[96];

	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	snprintf(path, sizeof(path), "%s/socket", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/socket.ctrl", folder);
	unlink(path);
}

static void remove_folder(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CHECK_INT(system(command), 0);
}

static struct chip *new_tpm(void)
{
	struct chip *chip = NULL;

	snprintf(folder, sizeof(folder), "/tmp/test-tpm-XXXXXX");
	CHECK(mkdtemp(folder) != NULL);
	start_tpm();
	CHECK_INT(chip_open(tcti, &chip), 0);
	return chip;
}

static void end_tpm(struct chip *chip)
{
	chip_close(chip);
	stop_tpm();
	remove_folder();
}

/* Switched off and on: PCRs begin anew, what is persistent stays. */
static struct chip *restart(struct chip *chip)
{
	chip_close(chip);
	stop_tpm();
	start_tpm();
	CHECK_INT(chip_open(tcti, &chip), 0);
	return chip;
}

static void unseals(struct chip *chip, const struct tpm_sealed *blob)
{
	struct secret secret = {0};
	int r = chip_unseal(chip, &plain, VOLUME, blob, &secret);

	if (r < 0)
		FAIL("%d: %s", r, chip_reason(chip));
	CHECK_INT(secret.size, strlen(SECRET));
	CHECK_MEM(secret.bytes, SECRET, secret.size);
	secret_wipe(&secret);
}

static void seal(struct chip *chip, struct tpm_sealed *blob)
{
	int r = chip_seal(chip, &plain, VOLUME, SECRET, strlen(SECRET), blob, policy_digest);

	if (r < 0)
		FAIL("%d: %s", r, chip_reason(chip));
}

TEST(sealed_bytes_come_back_also_after_a_restart_and_many_times)
{
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	seal(chip, &blob);
	for (int i = 0; i < 8; i++)
		unseals(chip, &blob);
	chip = restart(chip);
	unseals(chip, &blob);
	end_tpm(chip);
}

TEST(unseal_is_refused_after_an_extend_and_works_in_the_next_boot)
{
	static const uint8_t digest[TPM_DIGEST_SIZE] = {1};
	struct secret secret = {0};
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	seal(chip, &blob);
	CHECK_INT(chip_pcr_extend(chip, 11, digest), 0);
	CHECK_INT(chip_unseal(chip, &plain, VOLUME, &blob, &secret), -EKEYREJECTED);
	CHECK(strstr(chip_reason(chip), "TPM2_Unseal: policy not met") != NULL);
	CHECK(secret.bytes == NULL);
	chip = restart(chip);
	unseals(chip, &blob);
	end_tpm(chip);
}

TEST(pcr_that_is_not_in_the_policy_does_not_matter)
{
	static const uint8_t digest[TPM_DIGEST_SIZE] = {1};
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	seal(chip, &blob);
	CHECK_INT(chip_pcr_extend(chip, 14, digest), 0);
	unseals(chip, &blob);
	end_tpm(chip);
}

TEST(blob_is_tied_to_the_configured_pcrs)
{
	const struct tpm_policy other = {.pcrs = 1u << 4 | 1u << 15};
	struct secret secret = {0};
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	seal(chip, &blob);
	CHECK_INT(chip_unseal(chip, &other, VOLUME, &blob, &secret), -EKEYREJECTED);
	end_tpm(chip);
}

TEST(blob_of_another_tpm_is_refused)
{
	struct secret secret = {0};
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	seal(chip, &blob);
	end_tpm(chip);
	chip = new_tpm();
	CHECK_INT(chip_unseal(chip, &plain, VOLUME, &blob, &secret), -EBADMSG);
	CHECK(strstr(chip_reason(chip), "not made by this TPM") != NULL);
	end_tpm(chip);
}

TEST(changed_cut_or_empty_blob_is_refused)
{
	struct secret secret = {0};
	struct chip *chip = new_tpm();
	struct tpm_sealed blob, bad;

	seal(chip, &blob);
	for (size_t i = 0; i < blob.blob.size; i += 7) {
		bad = blob;
		bad.blob.bytes[i] ^= 0x10;
		CHECK(chip_unseal(chip, &plain, VOLUME, &bad, &secret) < 0);
		CHECK(secret.bytes == NULL);
	}
	for (size_t i = 0; i < blob.blob.size; i += 5) {
		bad = blob;
		bad.blob.size = i;
		CHECK_INT(chip_unseal(chip, &plain, VOLUME, &bad, &secret), -EBADMSG);
	}
	unseals(chip, &blob);
	end_tpm(chip);
}

TEST(refused_unseals_do_not_lock_the_tpm_out)
{
	static const uint8_t digest[TPM_DIGEST_SIZE] = {1};
	struct secret secret = {0};
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	seal(chip, &blob);
	CHECK_INT(chip_pcr_extend(chip, 4, digest), 0);
	for (int i = 0; i < 40; i++)
		CHECK_INT(chip_unseal(chip, &plain, VOLUME, &blob, &secret), -EKEYREJECTED);
	chip = restart(chip);
	unseals(chip, &blob);
	end_tpm(chip);
}

TEST(sealed_bytes_do_not_appear_in_the_blob)
{
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	seal(chip, &blob);
	CHECK(memmem(blob.blob.bytes, blob.blob.size, SECRET, 8) == NULL);
	end_tpm(chip);
}

TEST(pcr_extend_is_the_hash_of_both)
{
	/* SHA-256 of 32 zero bytes followed by 32 bytes 0x01. */
	static const uint8_t expected[TPM_DIGEST_SIZE] = {
		0x5c, 0x85, 0x95, 0x5f, 0x70, 0x92, 0x83, 0xec, 0xce, 0x2b, 0x74, 0xf1, 0xb1, 0x55, 0x29, 0x18,
		0x81, 0x9f, 0x39, 0x09, 0x11, 0x81, 0x6e, 0x7b, 0xb4, 0x66, 0x80, 0x5a, 0x38, 0xab, 0x87, 0xf3,
	};
	static const uint8_t zeros[TPM_DIGEST_SIZE];
	uint8_t digest[TPM_DIGEST_SIZE], value[TPM_DIGEST_SIZE];
	struct chip *chip = new_tpm();

	memset(digest, 1, sizeof(digest));
	CHECK_INT(chip_pcr_read(chip, 14, value), 0);
	CHECK_MEM(value, zeros, sizeof(value));
	CHECK_INT(chip_pcr_extend(chip, 14, digest), 0);
	CHECK_INT(chip_pcr_read(chip, 14, value), 0);
	CHECK_MEM(value, expected, sizeof(value));
	end_tpm(chip);
}

TEST(nv_index_is_read_whole_and_a_missing_one_is_said_to_be)
{
	char command[1024];
	struct chip *chip = new_tpm();
	uint8_t *bytes = NULL;
	size_t size = 0;

	CHECK_INT(chip_nv_read(chip, 0x01400001, &bytes, &size), -ENOENT);
	chip_close(chip);
	snprintf(command, sizeof(command),
		 "cd %s && export TPM2TOOLS_TCTI=%s && head -c 2048 /dev/urandom >in && "
		 "tpm2_nvdefine -Q 0x01400001 -C o -s 2048 -a 'ownerread|ownerwrite' && "
		 "tpm2_nvwrite -Q 0x01400001 -C o -i in", folder, tcti);
	CHECK_INT(system(command), 0);
	CHECK_INT(chip_open(tcti, &chip), 0);
	CHECK_INT(chip_nv_read(chip, 0x01400001, &bytes, &size), 0);
	CHECK_INT(size, 2048);
	snprintf(command, sizeof(command), "%s/out", folder);
	{
		FILE *file = fopen(command, "w");

		CHECK(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
	}
	free(bytes);
	snprintf(command, sizeof(command), "cmp %s/in %s/out", folder, folder);
	CHECK_INT(system(command), 0);
	end_tpm(chip);
}

TEST(azure_s_rsa_storage_root_key_is_taken_as_it_is)
{
	char command[1024];
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	chip_close(chip);
	snprintf(command, sizeof(command),
		 "cd %s && export TPM2TOOLS_TCTI=%s && tpm2_createprimary -Q -C o -g sha256 -G rsa2048 -c srk "
		 "-a 'restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda' && "
		 "tpm2_evictcontrol -Q -C o -c srk 0x81000001 && tpm2_flushcontext -t", folder, tcti);
	CHECK_INT(system(command), 0);
	CHECK_INT(chip_open(tcti, &chip), 0);
	seal(chip, &blob);
	unseals(chip, &blob);
	end_tpm(chip);
}

TEST(something_else_in_the_root_key_s_place_is_refused)
{
	char command[1024];
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	chip_close(chip);
	snprintf(command, sizeof(command),
		 "cd %s && export TPM2TOOLS_TCTI=%s && tpm2_createprimary -Q -C o -g sha256 -G rsa2048:rsassa-sha256:null -c key "
		 "-a 'restricted|sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth' && "
		 "tpm2_evictcontrol -Q -C o -c key 0x81000001 && tpm2_flushcontext -t", folder, tcti);
	CHECK_INT(system(command), 0);
	CHECK_INT(chip_open(tcti, &chip), 0);
	CHECK_INT(chip_seal(chip, &plain, VOLUME, "x", 1, &blob, policy_digest), -EBADF);
	CHECK(strstr(chip_reason(chip), "not a storage root key") != NULL);
	end_tpm(chip);
}

TEST(missing_tpm_and_unknown_names_are_errors)
{
	struct chip *chip = NULL;

	CHECK_INT(chip_open("device:/dev/no-such-tpm", &chip), -ENOENT);
	CHECK_INT(chip_open("/dev/tpmrm0", &chip), -EINVAL);
	CHECK_INT(chip_open("swtpm:path=/tmp/no-such-socket", &chip), -ENOENT);
	CHECK(chip == NULL);
	CHECK(chip_close(NULL) == NULL);
}

TEST(extending_pcr_15_closes_the_seals_and_is_named_as_the_reason)
{
	static const uint8_t digest[TPM_DIGEST_SIZE] = {1};
	struct secret secret = {0};
	struct chip *chip = new_tpm();
	struct tpm_sealed blob;

	seal(chip, &blob);
	CHECK_INT(chip_pcr_extend(chip, 15, digest), 0);
	CHECK_INT(chip_unseal(chip, &plain, VOLUME, &blob, &secret), -EKEYREJECTED);
	CHECK(strstr(chip_reason(chip), "PCR 15 has been extended in this boot") != NULL);
	CHECK_INT(chip_seal(chip, &plain, VOLUME, SECRET, strlen(SECRET), &blob, policy_digest), -EKEYREJECTED);
	chip = restart(chip);
	seal(chip, &blob);
	unseals(chip, &blob);
	end_tpm(chip);
}

TEST(record_is_written_read_replaced_and_removed)
{
	uint8_t *bytes = NULL;
	size_t size = 0;
	struct chip *chip = new_tpm();

	CHECK_INT(chip_nv_remove(chip, TPM_RECORD_NV), 0);
	CHECK_INT(chip_nv_read(chip, TPM_RECORD_NV, &bytes, &size), -ENOENT);
	CHECK_INT(chip_nv_write(chip, TPM_RECORD_NV, "first", 5), 0);
	CHECK_INT(chip_nv_write(chip, TPM_RECORD_NV, "other", 5), 0);
	CHECK_INT(chip_nv_write(chip, TPM_RECORD_NV, "a longer one", 12), 0);
	chip = restart(chip);
	CHECK_INT(chip_nv_read(chip, TPM_RECORD_NV, &bytes, &size), 0);
	CHECK_INT(size, 12);
	CHECK_MEM(bytes, "a longer one", 12);
	free(bytes);
	CHECK_INT(chip_nv_remove(chip, TPM_RECORD_NV), 0);
	CHECK_INT(chip_nv_read(chip, TPM_RECORD_NV, &bytes, &size), -ENOENT);
	CHECK_INT(chip_nv_write(chip, TPM_RECORD_NV, bytes, 1 << 20), -EFBIG);
	end_tpm(chip);
}

TEST(full_memory_of_the_tpm_is_said_to_be_full)
{
	static uint8_t bytes[512];
	struct chip *chip = new_tpm();
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < 4096; i++)
		r = chip_nv_write(chip, 0x01900000 + i, bytes, sizeof(bytes));
	CHECK_INT(r, -ENOSPC);
	CHECK(strstr(chip_reason(chip), "NV is full") != NULL);
	end_tpm(chip);
}

TEST(counter_only_rises_also_when_it_is_removed_and_made_again)
{
	uint64_t value = 0, before;
	struct chip *chip = new_tpm();

	CHECK_INT(chip_counter_read(chip, TPM_VERSION_NV, &value), -ENOENT);
	CHECK_INT(chip_counter_raise(chip, TPM_VERSION_NV, 3), 0);
	CHECK_INT(chip_counter_read(chip, TPM_VERSION_NV, &value), 0);
	CHECK_INT(value, 3);
	CHECK_INT(chip_counter_raise(chip, TPM_VERSION_NV, 2), 0);
	CHECK_INT(chip_counter_read(chip, TPM_VERSION_NV, &value), 0);
	CHECK_INT(value, 3);
	chip = restart(chip);
	CHECK_INT(chip_counter_raise(chip, TPM_VERSION_NV, 7), 0);
	CHECK_INT(chip_counter_read(chip, TPM_VERSION_NV, &before), 0);
	CHECK_INT(before, 7);
	CHECK_INT(chip_nv_remove(chip, TPM_VERSION_NV), 0);
	CHECK_INT(chip_counter_raise(chip, TPM_VERSION_NV, 1), 0);
	CHECK_INT(chip_counter_read(chip, TPM_VERSION_NV, &value), 0);
	CHECK(value > before);
	CHECK_INT(chip_counter_raise(chip, TPM_VERSION_NV, UINT64_MAX), -ERANGE);
	end_tpm(chip);
}

TEST(secret_of_an_nv_index_comes_through_an_encrypted_session)
{
	static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01";
	struct secret secret = {0};
	struct chip *chip = new_tpm();

	CHECK_INT(chip_nv_read_secret(chip, 0x01500016, &secret), -ENOENT);
	CHECK_INT(chip_nv_write(chip, 0x01500016, text, 64), 0);
	CHECK_INT(chip_nv_read_secret(chip, 0x01500016, &secret), 0);
	CHECK_INT(secret.size, 64);
	CHECK_MEM(secret.bytes, text, 64);
	secret_wipe(&secret);
	end_tpm(chip);
}

TEST(lockout_of_the_tpm_has_an_error_of_its_own)
{
	char command[1024];
	struct chip *chip = new_tpm();
	int r;

	chip_close(chip);
	snprintf(command, sizeof(command),
		 "cd %s && export TPM2TOOLS_TCTI=%s && tpm2_nvdefine -Q 0x01500016 -C o -s 64 -p right "
		 "-a 'authread|authwrite|ownerread' && "
		 "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33; do "
		 "tpm2_nvread -Q 0x01500016 -P wrong; done 2>/dev/null; "
		 "tpm2_nvread -Q 0x01500016 -P wrong 2>&1 | grep -qi lockout", folder, tcti);
	CHECK_INT(system(command), 0);
	CHECK_INT(chip_open(tcti, &chip), 0);
	{
		struct tpm_sealed blob;

		/* What is sealed without lockout counting comes back all the same. */
		seal(chip, &blob);
		unseals(chip, &blob);
	}
	r = chip_nv_remove(chip, 0x01500016);
	CHECK_INT(r, 0);
	end_tpm(chip);
}

/* ---- the stages' side, over the wire ---------------------------------------------------------------------------- */

static pid_t owner;

static void nothing(void)
{
}

static bool still(void)
{
	return false;
}

static void serve_all(int fd)
{
	static struct serve_answer answer;
	static uint8_t request[4096];
	struct serve serve = {.wanted = nothing, .look = still};
	struct serve_client client = {.use = STAGE_TPM_DISK};

	CHECK_INT(chip_open(tcti, &serve.chip), 0);
	closing_device(&serve.closing, true);
	for (;;) {
		ssize_t n = recv(fd, request, sizeof(request), 0);

		if (n <= 0)
			break;
		serve_request(&serve, &client, request, (size_t)n, &answer);
		CHECK(send(fd, &answer, sizeof(answer.head) + answer.head.size, MSG_NOSIGNAL) > 0);
	}
	chip_close(serve.chip);
}

/* A stage with an owner of a new TPM beside it. */
static struct tpm *begin(void)
{
	struct tpm *tpm = NULL;
	int pair[2];

	chip_close(new_tpm());
	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	owner = fork();
	CHECK(owner >= 0);
	if (owner == 0) {
		close(pair[0]);
		serve_all(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	CHECK_INT(dup2(pair[0], TPM_CLIENT_FD), TPM_CLIENT_FD);
	if (pair[0] != TPM_CLIENT_FD)
		close(pair[0]);
	CHECK_INT(tpm_open(&tpm), 0);
	return tpm;
}

static void end(struct tpm *tpm)
{
	int status;

	tpm_close(tpm);
	close(TPM_CLIENT_FD);
	CHECK_INT(waitpid(owner, &status, 0), owner);
	CHECK_INT(status, 0);
	stop_tpm();
	remove_folder();
}

TEST(intent_is_for_its_disk_alone_and_its_mark_is_known)
{
	struct disk disk = {.size = 1 << 30, .serial = "one", .wwid = "naa.1"}, other = disk;
	uint8_t mark[INTENT_MARK_SIZE], again[INTENT_MARK_SIZE];
	struct intent intent, found;
	struct tpm *tpm = begin();

	CHECK_INT(intent_read(tpm, &found), 0);
	CHECK_INT(intent_new(&disk, &intent), 0);
	CHECK_INT(intent_write(tpm, &intent), 0);
	CHECK_INT(intent_read(tpm, &found), 1);
	CHECK(intent_is_for(&found, &disk));
	other.size++;
	CHECK(!intent_is_for(&found, &other));
	other = disk;
	strcpy(other.serial, "two");
	CHECK(!intent_is_for(&found, &other));
	intent_mark(&intent, mark);
	intent_mark(&found, again);
	CHECK_MEM(mark, again, sizeof(mark));
	CHECK(intent_is_mark(mark));
	CHECK(memmem(mark, sizeof(mark), intent.nonce, sizeof(intent.nonce)) == NULL);
	CHECK_INT(intent_new(&disk, &intent), 0);
	intent_mark(&intent, again);
	CHECK(memcmp(mark, again, sizeof(mark)) != 0);
	memset(mark, 0, sizeof(mark));
	CHECK(!intent_is_mark(mark));
	CHECK_INT(intent_clear(tpm), 0);
	CHECK_INT(intent_read(tpm, &found), 0);
	CHECK_INT(tpm_record_write(tpm, "something of somebody else", 26), 0);
	CHECK_INT(intent_read(tpm, &found), 0);
	end(tpm);
}

TEST(stage_seals_unseals_and_closes_by_the_owner)
{
	static const uint8_t digest[TPM_DIGEST_SIZE] = {1};
	uint8_t value[TPM_DIGEST_SIZE], *bytes = NULL;
	char why[TPM_REASON_MAX] = "";
	struct tpm_sealed sealed, other;
	struct tpm *tpm = begin();
	struct secret secret = {0};
	bool is_rsa = true;
	size_t size = 0;

	CHECK_INT(tpm_seal(tpm, &plain, VOLUME, SECRET, strlen(SECRET), &sealed, policy_digest), 0);
	CHECK(sealed.creation.size > 0);
	CHECK_INT(tpm_unseal(tpm, &plain, VOLUME, &sealed, &secret), 0);
	CHECK_INT(secret.size, strlen(SECRET));
	CHECK_MEM(secret.bytes, SECRET, secret.size);
	secret_wipe(&secret);
	CHECK_INT(tpm_unseal(tpm, &plain, "another", &sealed, &secret), -EKEYREJECTED);
	CHECK(strstr(tpm_reason(tpm), "sealed for another volume") != NULL);
	other = sealed;
	other.creation.size = 0;
	CHECK_INT(tpm_unseal(tpm, &plain, VOLUME, &other, &secret), -EKEYREJECTED);
	CHECK_INT(tpm_srk_serialize(tpm, &bytes, &size, &is_rsa), 0);
	CHECK(size > 0 && !is_rsa);
	free(bytes);
	CHECK_INT(tpm_version_raise(tpm, 3), 0);
	CHECK_INT(tpm_shell_key(tpm, &secret), -ENOENT);
	CHECK_INT(tpm_measure(tpm, digest), -EPERM);
	CHECK_INT(tpm_report_read(tpm, &bytes, &size), -EPERM);
	CHECK_INT(tpm_close_keys(digest, why), 0);
	CHECK_INT(tpm_close_keys(digest, why), 0);
	CHECK_INT(tpm_pcr_read(tpm, TPM_PCR_CLOSE, value), 0);
	CHECK(value[0] || value[1] || value[2]);
	CHECK_INT(tpm_unseal(tpm, &plain, VOLUME, &sealed, &secret), -EKEYREJECTED);
	CHECK(strstr(tpm_reason(tpm), "PCR 15 has been extended in this boot") != NULL);
	end(tpm);
}

TEST(stage_without_an_owner_gets_an_error_for_each_request)
{
	char why[TPM_REASON_MAX] = "";
	struct tpm *tpm = NULL;
	uint8_t digest[TPM_DIGEST_SIZE] = {0};

	close(TPM_CLIENT_FD);
	CHECK_INT(tpm_open(&tpm), -EIO);
	CHECK_INT(tpm_close_keys(digest, why), -EIO);
	CHECK(strstr(why, "owner does not answer") != NULL);
}
