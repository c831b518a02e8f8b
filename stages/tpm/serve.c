/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements serve.h: a row for each request, and the function that performs it. */
#define _GNU_SOURCE
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/sha256.h>

#include "nv.h"
#include "seal.h"

#define NO_DISK "gantry: closed without a disk"	/* what PCR 15 is extended with, hashed, when there is no volume */

struct request {
	struct serve *serve;
	struct serve_client *client;
	struct chip *chip;		/* NULL only for rows without `needs_chip` */
	const void *body;
	size_t size;
	struct serve_answer *answer;	/* its body and head.size are the row's to fill */
};

static int refuse(const struct request *request, int error, const char *text)
{
	snprintf(request->answer->head.reason, sizeof(request->answer->head.reason), "%s", text);
	return error;
}

static int answer_bytes(const struct request *request, const void *bytes, size_t size)
{
	if (size > sizeof(request->answer->body))
		return refuse(request, -EFBIG, "larger than an answer");
	memcpy(request->answer->body, bytes, size);
	request->answer->head.size = (uint32_t)size;
	return 0;
}

static int answer_secret(const struct request *request, int r, struct secret *secret)
{
	if (r == 0)
		r = answer_bytes(request, secret->bytes, secret->size);
	secret_wipe(secret);
	return r;
}

static int answer_allocated(const struct request *request, int r, uint8_t *bytes, size_t size)
{
	if (r < 0)
		return r;
	r = answer_bytes(request, bytes, size);
	free(bytes);
	return r;
}

static int present(const struct request *request)
{
	(void)request;
	return 0;
}

static int pcr_read(const struct request *request)
{
	uint32_t pcr;

	memcpy(&pcr, request->body, sizeof(pcr));
	if (pcr > 23)
		return refuse(request, -EINVAL, "no such PCR");
	request->answer->head.size = TPM_DIGEST_SIZE;
	return chip_pcr_read(request->chip, pcr, request->answer->body);
}

static int measure(const struct request *request)
{
	return chip_pcr_extend(request->chip, TPM_PCR_MEASURE, request->body);
}

int serve_close(struct serve *serve)
{
	static const uint8_t zeros[TPM_DIGEST_SIZE];
	struct closing *closing = &serve->closing;
	uint8_t now[TPM_DIGEST_SIZE], digest[TPM_DIGEST_SIZE];
	int r;

	if (!closing_due(closing))
		return 0;
	memcpy(digest, closing->digest, sizeof(digest));
	if (!closing->has_digest)
		(void)mbedtls_sha256((const uint8_t *)NO_DISK, sizeof(NO_DISK) - 1, digest, 0);
	r = chip_pcr_read(serve->chip, TPM_PCR_CLOSE, now);
	if (r == 0 && memcmp(now, zeros, sizeof(now)) == 0)
		r = chip_pcr_extend(serve->chip, TPM_PCR_CLOSE, digest);
	if (r == 0)
		closing_done(closing);
	return r;
}

static int close_keys(const struct request *request)
{
	struct serve *serve = request->serve;
	const uint32_t later = serve->chip == NULL;

	closing_want(&serve->closing, request->body);
	serve->wanted();
	(void)answer_bytes(request, &later, sizeof(later));
	return serve_close(serve);
}

/* The policy of a request; false: no UUID, or not text. */
static bool read_policy(const struct tpm_wire_policy *wire, const char uuid[TPM_VOLUME_MAX], struct tpm_policy *ret)
{
	*ret = (struct tpm_policy){.pcrs = wire->pcrs, .approval = wire->has_approval ? &wire->approval : NULL};
	return uuid[0] && memchr(uuid, '\0', TPM_VOLUME_MAX);
}

static int seal(const struct request *request)
{
	struct tpm_seal_request wanted;
	struct tpm_seal_answer answer = {0};
	struct tpm_policy policy;
	int r;

	memcpy(&wanted, request->body, sizeof(wanted));
	if (!read_policy(&wanted.policy, wanted.uuid, &policy) || wanted.size > sizeof(wanted.bytes))
		r = refuse(request, -EBADMSG, "request is malformed");
	else
		r = chip_seal(request->chip, &policy, wanted.uuid, wanted.bytes, wanted.size, &answer.sealed,
			      answer.digest);
	explicit_bzero(&wanted, sizeof(wanted));
	return r < 0 ? r : answer_bytes(request, &answer, sizeof(answer));
}

static int unseal(const struct request *request)
{
	struct tpm_unseal_request wanted;
	struct secret secret = {0};
	struct tpm_policy policy;
	int r;

	memcpy(&wanted, request->body, sizeof(wanted));
	if (!read_policy(&wanted.policy, wanted.uuid, &policy))
		return refuse(request, -EBADMSG, "request is malformed");
	if (!closing_may_unseal(&request->serve->closing))
		return refuse(request, -EKEYREJECTED, "PCR 15 has been extended in this boot");
	if (request->client->unseals++ >= SERVE_UNSEALS_MAX)
		return refuse(request, -EKEYREJECTED, "this attempt has had too many keys unsealed");
	r = chip_unseal(request->chip, &policy, wanted.uuid, &wanted.sealed, &secret);
	return answer_secret(request, r, &secret);
}

static int srk(const struct request *request)
{
	uint8_t bytes[1024];
	uint8_t *serialized = NULL;
	bool rsa = false;
	uint32_t is_rsa;
	size_t size = 0;
	int r = chip_srk_serialize(request->chip, &serialized, &size, &rsa);

	if (r < 0)
		return r;
	is_rsa = rsa;
	if (size > sizeof(bytes) - sizeof(is_rsa))
		size = 0;
	memcpy(bytes, &is_rsa, sizeof(is_rsa));
	memcpy(bytes + sizeof(is_rsa), serialized, size);
	free(serialized);
	return size ? answer_bytes(request, bytes, sizeof(is_rsa) + size) :
	       refuse(request, -EFBIG, "storage root key is larger than expected");
}

static int report_read(const struct request *request)
{
	uint8_t *bytes = NULL;
	size_t size = 0;
	int r = chip_nv_read(request->chip, TPM_REPORT_NV, &bytes, &size);

	return answer_allocated(request, r, bytes, size);
}

static int shell_key(const struct request *request)
{
	struct secret secret = {0};

	return answer_secret(request, chip_nv_read_secret(request->chip, TPM_SHELL_NV, &secret), &secret);
}

static int record_read(const struct request *request)
{
	uint8_t *bytes = NULL;
	size_t size = 0;
	int r = chip_nv_read(request->chip, TPM_RECORD_NV, &bytes, &size);

	if (r == -ENOENT || r == -ENODATA)
		return 0;
	/* One that is too large is not ours: none. */
	return answer_allocated(request, r, bytes, size > TPM_RECORD_MAX ? 0 : size);
}

static int record_write(const struct request *request)
{
	if (request->size == 0 || request->size > TPM_RECORD_MAX)
		return refuse(request, -EINVAL, "size of the record is wrong");
	return chip_nv_write(request->chip, TPM_RECORD_NV, request->body, request->size);
}

static int record_clear(const struct request *request)
{
	return chip_nv_remove(request->chip, TPM_RECORD_NV);
}

static int version_raise(const struct request *request)
{
	uint32_t version;

	memcpy(&version, request->body, sizeof(version));
	return chip_counter_raise(request->chip, TPM_VERSION_NV, version);
}

#define DISK    (1u << STAGE_TPM_DISK)
#define MEASURE (1u << STAGE_TPM_MEASURE)
#define ANY     SIZE_MAX

static const struct row {
	unsigned may;		/* bit n: enum stage_tpm n */
	size_t size;		/* of the body; ANY: the function checks it */
	bool works_without;	/* also while there is no TPM */
	int (*perform)(const struct request *request);
} rows[TPM_REQUEST_MAX] = {
	[TPM_PRESENT] = {DISK | MEASURE, 0, .perform = present},
	[TPM_PCR_READ] = {DISK | MEASURE, sizeof(uint32_t), .perform = pcr_read},
	[TPM_MEASURE] = {MEASURE, TPM_DIGEST_SIZE, .perform = measure},
	[TPM_REPORT_READ] = {MEASURE, 0, .perform = report_read},
	[TPM_CLOSE_KEYS] = {DISK, TPM_DIGEST_SIZE, .works_without = true, .perform = close_keys},
	[TPM_SEAL] = {DISK, sizeof(struct tpm_seal_request), .perform = seal},
	[TPM_UNSEAL] = {DISK, sizeof(struct tpm_unseal_request), .perform = unseal},
	[TPM_SRK] = {DISK, 0, .perform = srk},
	[TPM_SHELL_KEY] = {DISK, 0, .perform = shell_key},
	[TPM_RECORD_READ] = {DISK, 0, .perform = record_read},
	[TPM_RECORD_WRITE] = {DISK, ANY, .perform = record_write},
	[TPM_RECORD_CLEAR] = {DISK, 0, .perform = record_clear},
	[TPM_VERSION_RAISE] = {DISK, sizeof(uint32_t), .perform = version_raise},
};

static int perform(struct serve *serve, struct serve_client *client, const uint8_t *bytes, size_t size,
		   struct serve_answer *answer)
{
	struct request request = {.serve = serve, .client = client, .answer = answer};
	struct tpm_request head;
	const struct row *row;
	int r;

	if (size < sizeof(head))
		return refuse(&request, -EBADMSG, "request is malformed");
	memcpy(&head, bytes, sizeof(head));
	request.body = bytes + sizeof(head);
	request.size = size - sizeof(head);
	if (head.kind >= TPM_REQUEST_MAX || head.size != request.size)
		return refuse(&request, -EBADMSG, "request is malformed");
	row = &rows[head.kind];
	if (client->use >= STAGE_TPM_MAX || !(row->may & 1u << client->use))
		return refuse(&request, -EPERM, "a stage of this type may not ask this of the TPM");
	if (row->size != ANY && row->size != request.size)
		return refuse(&request, -EBADMSG, "request is malformed");
	if (!serve->chip && !serve->look() && !row->works_without)
		return refuse(&request, -ENOENT, "there is no TPM");
	request.chip = serve->chip;
	if (serve->chip)
		chip_forget_reason(serve->chip);
	r = row->perform(&request);
	if (r < 0 && !answer->head.reason[0])
		refuse(&request, r, serve->chip && chip_reason(serve->chip)[0] ? chip_reason(serve->chip) :
		       strerror(-r));
	return r;
}

void serve_request(struct serve *serve, struct serve_client *client, const void *request, size_t size,
		   struct serve_answer *ret)
{
	ret->head = (struct tpm_answer){0};
	ret->head.error = perform(serve, client, request, size, ret);
	if (ret->head.error < 0)
		ret->head.size = 0;
}
