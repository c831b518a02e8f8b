/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The partition is found by its name in sysfs: the kernel has parsed the partition table. It holds the policy file
 * from its first byte, padded with zeros: without a file system, no hostile one is ever mounted.
 */
#define _GNU_SOURCE
#include "approval.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>
#include <mbedtls/pk.h>
#include <mbedtls/rsa.h>

#include <gantry/cleanup.h>

#include "init/lib/base64.h"
#include "init/lib/hex.h"
#include "reader.h"
#include "stages/lib/backoff.h"
#include "stages/lib/document.h"
#include "stages/lib/file.h"
#include "stages/lib/printable.h"
#include "uevent.h"

#define KEY_FILE_MAX 4096
#define PATIENCE_MS  3000	/* the boot disk is there before we are, or it never comes */
#define EXPONENT     65537

static void put_json(struct json_object **json)
{
	json_object_put(*json);
}

int approval_read_key(const char *path, struct tpm_approval *ret, char why[APPROVAL_WHY_MAX])
{
	_cleanup_(cleanup_free) char *text = NULL;
	uint8_t modulus[TPM_RSA_SIZE], exponent[4] = {0};
	mbedtls_pk_context key;
	size_t size;
	int r;

	r = file_read(AT_FDCWD, path, KEY_FILE_MAX, &text, &size);
	if (r < 0) {
		snprintf(why, APPROVAL_WHY_MAX, "policy key %.100s: %s", path, strerror(-r));
		return r;
	}
	mbedtls_pk_init(&key);
	if (mbedtls_pk_parse_public_key(&key, (const unsigned char *)text, size + 1) != 0 ||
	    mbedtls_pk_get_type(&key) != MBEDTLS_PK_RSA || mbedtls_pk_get_bitlen(&key) != TPM_RSA_SIZE * 8 ||
	    mbedtls_rsa_export_raw(mbedtls_pk_rsa(key), modulus, sizeof(modulus), NULL, 0, NULL, 0, NULL, 0, exponent,
				   sizeof(exponent)) != 0 ||
	    ((uint32_t)exponent[0] << 24 | exponent[1] << 16 | exponent[2] << 8 | exponent[3]) != EXPONENT) {
		snprintf(why, APPROVAL_WHY_MAX, "policy key %.100s is not an RSA public key of 2048 bits in PEM", path);
		r = -EBADMSG;
	} else {
		memcpy(ret->modulus, modulus, sizeof(modulus));
	}
	mbedtls_pk_free(&key);
	return r;
}

static const char *text_of(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, json_type_string) ?
		json_object_get_string(value) : "";
}

static int bad(char *why, const char *text)
{
	snprintf(why, APPROVAL_WHY_MAX, "signed policy: %s", text);
	return -EBADMSG;
}

int approval_parse(const char *text, struct tpm_approval *ret, char why[APPROVAL_WHY_MAX])
{
	_cleanup_(put_json) struct json_object *root = NULL;
	struct tpm_approval approval = *ret;
	struct json_object *version;
	char error[APPROVAL_WHY_MAX - 32];
	size_t size;

	if (document_parse(text, strlen(text), &root, error, sizeof(error)) < 0)
		return bad(why, error);
	if (!json_object_object_get_ex(root, "version", &version) || !json_object_is_type(version, json_type_int))
		return bad(why, "no version");
	if (json_object_get_int64(version) != (int64_t)approval.version) {
		snprintf(why, APPROVAL_WHY_MAX, "signed policy is for version %lld, but this image is version %u",
			 (long long)json_object_get_int64(version), approval.version);
		return -EBADMSG;
	}
	if (!hex_decode(text_of(root, "policy"), approval.policy, sizeof(approval.policy)))
		return bad(why, "digest is malformed");
	text = text_of(root, "signature");
	if (base64_decode(text, strlen(text), false, approval.signature, sizeof(approval.signature), &size) < 0 ||
	    size != sizeof(approval.signature))
		return bad(why, "signature is malformed");
	approval.is_signed = true;
	*ret = approval;
	return 0;
}

struct question {
	const char *text;
	const struct tpm_approval *approval;
};

struct answer {
	int32_t result;			/* as approval_parse() */
	char why[APPROVAL_WHY_MAX];
	struct tpm_approval approval;
};

/* In a child (reader.h). */
static void parse_policy(int fd, const void *asked, void *ret)
{
	const struct question *question = asked;
	struct answer *answer = ret;

	(void)fd;
	answer->approval = *question->approval;
	answer->result = approval_parse(question->text, &answer->approval, answer->why);
}

/* Digest and signature are the host's in any case: the TPM verifies them. */
static int ask(const char *text, struct tpm_approval *ret, char *why)
{
	const struct question question = {text, ret};
	char trouble[READER_WHY_MAX];
	struct answer answer;
	int r = reader_ask(&(struct reader_task){parse_policy, -1, &question, &answer, sizeof(answer)}, trouble);

	if (r < 0) {
		snprintf(why, APPROVAL_WHY_MAX, "signed policy: %s", trouble);
		return r;
	}
	if (answer.result != 0) {
		answer.why[sizeof(answer.why) - 1] = '\0';
		printable_copy(answer.why, why, APPROVAL_WHY_MAX);
		return -EBADMSG;
	}
	memcpy(ret->policy, answer.approval.policy, sizeof(ret->policy));
	memcpy(ret->signature, answer.approval.signature, sizeof(ret->signature));
	ret->is_signed = true;
	return 0;
}

/* "/dev/sda2", if that block device is the partition. */
static bool is_partition(const char *sys, const char *name, char path[64])
{
	static const char wanted[] = "\nPARTNAME=" APPROVAL_PARTITION "\n";
	char file[PATH_MAX], text[4096] = "\n";
	_cleanup_(cleanup_close) int fd = -1;
	ssize_t n;

	if (name[0] == '.' || strlen(name) > 32 ||
	    snprintf(file, sizeof(file), "%s/class/block/%s/uevent", sys, name) >= (int)sizeof(file))
		return false;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text + 1, sizeof(text) - 2);
	if (n < 0)
		return false;
	text[n + 1] = '\0';
	if (!strstr(text, wanted))
		return false;
	snprintf(path, 64, "/dev/%.32s", name);
	return true;
}

static int compare(const void *one, const void *other)
{
	return strcmp(one, other);
}

/* How many there are, in the order of their names. */
static unsigned look(const char *sys, char paths[APPROVALS_MAX][64])
{
	_cleanup_(cleanup_closedir) DIR *dir = NULL;
	char directory[PATH_MAX];
	struct dirent *entry;
	unsigned n = 0;

	snprintf(directory, sizeof(directory), "%s/class/block", sys);
	dir = opendir(directory);
	while (n < APPROVALS_MAX && dir && (entry = readdir(dir)))
		n += is_partition(sys, entry->d_name, paths[n]);
	qsort(paths, n, sizeof(*paths), compare);
	return n;
}

static int read_policy(const char *path, struct tpm_approval *ret, char *why)
{
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[APPROVAL_SIZE_MAX + 1];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, APPROVAL_SIZE_MAX, 0);

	if (n < 0) {
		int r = -errno;

		snprintf(why, APPROVAL_WHY_MAX, "signed policy on %s: %s", path, strerror(-r));
		return r;
	}
	text[n] = '\0';
	if (!text[0]) {
		snprintf(why, APPROVAL_WHY_MAX, "no signed policy: %s is empty", path);
		return -ENODATA;
	}
	return ask(text, ret, why);
}

int approval_find(const char *sys, unsigned number, struct tpm_approval *ret, char why[APPROVAL_WHY_MAX])
{
	_cleanup_(cleanup_close) int events = -1;
	int64_t until = time_now_ms() + PATIENCE_MS;
	char paths[APPROVALS_MAX][64];
	int r = uevent_open(&events);

	while (r == 0 && look(sys, paths) <= number) {
		if (number || time_now_ms() >= until) {
			snprintf(why, APPROVAL_WHY_MAX, "no signed policy: no partition " APPROVAL_PARTITION);
			return -ENOENT;
		}
		r = uevent_wait(events, "block", until);
	}
	if (r < 0) {
		snprintf(why, APPROVAL_WHY_MAX, "signed policy: %s", strerror(-r));
		return r;
	}
	return read_policy(paths[number], ret, why);
}
