/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements tpm.h. What carries a secret is in locked memory here, and wiped by the owner once it is sent. */
#define _GNU_SOURCE
#include "tpm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <gantry/cleanup.h>
#include <gantry/tpm.h>

#include "tpmwire.h"

struct tpm {
	char reason[TPM_REASON_MAX];
};

struct parts {
	const void *body;
	size_t size;
	void *answer;
	size_t room;
};

static int send_request(enum tpm_request_kind kind, const struct parts *parts)
{
	struct tpm_request head = {.kind = kind, .size = (uint32_t)parts->size};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)parts->body, parts->size}};
	const struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	do
		n = sendmsg(TPM_CLIENT_FD, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The size of the answer's body, or negative errno: the request's own or of the socket. */
static int receive_answer(struct tpm *tpm, const struct parts *parts)
{
	struct tpm_answer head;
	struct iovec iov[] = {{&head, sizeof(head)}, {parts->answer, parts->room}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	do
		n = recvmsg(TPM_CLIENT_FD, &message, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE;
	if ((size_t)n < sizeof(head) || message.msg_flags & MSG_TRUNC || head.size != (size_t)n - sizeof(head))
		return -EBADMSG;
	memcpy(tpm->reason, head.reason, sizeof(tpm->reason));
	tpm->reason[sizeof(tpm->reason) - 1] = '\0';
	return head.error < 0 ? head.error : (int)head.size;
}

static int refuse(struct tpm *tpm, int error, const char *text)
{
	snprintf(tpm->reason, sizeof(tpm->reason), "%s", text);
	return error;
}

/* Whether an error is the owner's, with a reason of its own, is seen by the reason. */
static int ask(struct tpm *tpm, enum tpm_request_kind kind, struct parts parts)
{
	int r;

	tpm->reason[0] = '\0';
	r = send_request(kind, &parts);
	if (r == 0)
		r = receive_answer(tpm, &parts);
	if (r >= 0 || tpm->reason[0])
		return r;
	snprintf(tpm->reason, sizeof(tpm->reason), "the TPM's owner does not answer: %s", strerror(-r));
	return -EIO;
}

/* The same for an answer of exactly that size. */
static int ask_exactly(struct tpm *tpm, enum tpm_request_kind kind, struct parts parts)
{
	int r = ask(tpm, kind, parts);

	if (r >= 0 && (size_t)r != parts.room)
		return refuse(tpm, -EIO, "answer of the TPM's owner is of another size");
	return r < 0 ? r : 0;
}

int tpm_open(struct tpm **ret)
{
	struct tpm *tpm = calloc(1, sizeof(*tpm));
	int r;

	if (!tpm)
		return -ENOMEM;
	r = ask(tpm, TPM_PRESENT, (struct parts){0});
	if (r < 0) {
		free(tpm);
		return r;
	}
	*ret = tpm;
	return 0;
}

struct tpm *tpm_close(struct tpm *tpm)
{
	free(tpm);
	return NULL;
}

const char *tpm_reason(const struct tpm *tpm)
{
	return tpm->reason;
}

int tpm_pcr_read(struct tpm *tpm, unsigned pcr, uint8_t ret_digest[TPM_DIGEST_SIZE])
{
	const uint32_t number = pcr;

	return ask_exactly(tpm, TPM_PCR_READ, (struct parts){&number, sizeof(number), ret_digest, TPM_DIGEST_SIZE});
}

int tpm_measure(struct tpm *tpm, const uint8_t digest[TPM_DIGEST_SIZE])
{
	return ask_exactly(tpm, TPM_MEASURE, (struct parts){.body = digest, .size = TPM_DIGEST_SIZE});
}

int tpm_close_keys(const uint8_t digest[TPM_DIGEST_SIZE], char why[TPM_REASON_MAX])
{
	struct tpm tpm = {.reason = ""};
	uint32_t later = 0;
	int r = ask_exactly(&tpm, TPM_CLOSE_KEYS, (struct parts){digest, TPM_DIGEST_SIZE, &later, sizeof(later)});

	if (r < 0)
		memcpy(why, tpm.reason, sizeof(tpm.reason));
	return r < 0 ? r : later != 0;
}

static bool pack_policy(const struct tpm_policy *policy, const char *uuid, struct tpm_wire_policy *ret,
			char ret_uuid[TPM_VOLUME_MAX])
{
	size_t n = strlen(uuid);

	ret->pcrs = policy->pcrs;
	ret->has_approval = policy->approval != NULL;
	if (policy->approval)
		ret->approval = *policy->approval;
	if (n >= TPM_VOLUME_MAX)
		return false;
	memcpy(ret_uuid, uuid, n);
	return true;
}

int tpm_seal(struct tpm *tpm, const struct tpm_policy *policy, const char *uuid, const void *bytes, size_t size,
	     struct tpm_sealed *ret, uint8_t ret_digest[TPM_DIGEST_SIZE])
{
	_cleanup_secret_ struct secret body = {0};
	struct tpm_seal_request *request;
	struct tpm_seal_answer answer;
	int r = secret_new(sizeof(*request), &body);

	if (r < 0)
		return refuse(tpm, r, "no memory for a secret");
	request = (struct tpm_seal_request *)body.bytes;
	if (size > sizeof(request->bytes) || !pack_policy(policy, uuid, &request->policy, request->uuid))
		return refuse(tpm, -EINVAL, "data or volume cannot be sealed");
	request->size = (uint32_t)size;
	memcpy(request->bytes, bytes, size);
	r = ask_exactly(tpm, TPM_SEAL, (struct parts){request, sizeof(*request), &answer, sizeof(answer)});
	if (r < 0)
		return r;
	if (answer.sealed.blob.size > TPM_BLOB_MAX || answer.sealed.creation.size > TPM_CREATION_MAX)
		return refuse(tpm, -EIO, "answer of the TPM's owner is malformed");
	*ret = answer.sealed;
	memcpy(ret_digest, answer.digest, TPM_DIGEST_SIZE);
	return 0;
}

/* The answer's bytes, of at most that size, in locked memory. */
static int ask_secret(struct tpm *tpm, enum tpm_request_kind kind, struct parts parts, struct secret *ret)
{
	_cleanup_secret_ struct secret answer = {0};
	int r = secret_new(parts.room, &answer);

	if (r < 0)
		return refuse(tpm, r, "no memory for a secret");
	parts.answer = answer.bytes;
	r = ask(tpm, kind, parts);
	if (r < 0)
		return r;
	answer.size = (size_t)r;
	*ret = answer;
	answer = (struct secret){0};
	return 0;
}

int tpm_unseal(struct tpm *tpm, const struct tpm_policy *policy, const char *uuid, const struct tpm_sealed *sealed,
	       struct secret *ret)
{
	struct tpm_unseal_request request = {.sealed = *sealed};

	if (!pack_policy(policy, uuid, &request.policy, request.uuid))
		return refuse(tpm, -EINVAL, "volume has no UUID");
	return ask_secret(tpm, TPM_UNSEAL,
			  (struct parts){.body = &request, .size = sizeof(request), .room = TPM_SEAL_MAX}, ret);
}

/* The answer's bytes behind the first `skip`, the caller's to free. */
static int ask_bytes(struct tpm *tpm, enum tpm_request_kind kind, size_t skip, void *ret_skipped, uint8_t **ret,
		     size_t *ret_size)
{
	uint8_t *bytes = malloc(TPM_ANSWER_SIZE_MAX);
	int r;

	if (!bytes)
		return refuse(tpm, -ENOMEM, "out of memory");
	r = ask(tpm, kind, (struct parts){.answer = bytes, .room = TPM_ANSWER_SIZE_MAX});
	if (r >= 0 && (size_t)r < skip)
		r = refuse(tpm, -EIO, "answer of the TPM's owner is too short");
	if (r < 0) {
		free(bytes);
		return r;
	}
	if (skip)
		memcpy(ret_skipped, bytes, skip);
	memmove(bytes, bytes + skip, (size_t)r - skip);
	*ret = bytes;
	*ret_size = (size_t)r - skip;
	return 0;
}

int tpm_srk_serialize(struct tpm *tpm, uint8_t **ret_bytes, size_t *ret_size, bool *ret_is_rsa)
{
	uint32_t is_rsa = 0;
	int r = ask_bytes(tpm, TPM_SRK, sizeof(is_rsa), &is_rsa, ret_bytes, ret_size);

	if (r == 0)
		*ret_is_rsa = is_rsa != 0;
	return r;
}

int tpm_report_read(struct tpm *tpm, uint8_t **ret_bytes, size_t *ret_size)
{
	return ask_bytes(tpm, TPM_REPORT_READ, 0, NULL, ret_bytes, ret_size);
}

int tpm_shell_key(struct tpm *tpm, struct secret *ret)
{
	return ask_secret(tpm, TPM_SHELL_KEY, (struct parts){.room = TPM_NV_MAX}, ret);
}

int tpm_record_read(struct tpm *tpm, uint8_t ret[TPM_RECORD_MAX])
{
	return ask(tpm, TPM_RECORD_READ, (struct parts){.answer = ret, .room = TPM_RECORD_MAX});
}

int tpm_record_write(struct tpm *tpm, const void *bytes, size_t size)
{
	return ask_exactly(tpm, TPM_RECORD_WRITE, (struct parts){.body = bytes, .size = size});
}

int tpm_record_clear(struct tpm *tpm)
{
	return ask_exactly(tpm, TPM_RECORD_CLEAR, (struct parts){0});
}

int tpm_version_raise(struct tpm *tpm, uint32_t version)
{
	return ask_exactly(tpm, TPM_VERSION_RAISE, (struct parts){.body = &version, .size = sizeof(version)});
}
