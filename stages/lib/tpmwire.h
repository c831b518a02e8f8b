/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of stages to the TPM's owner and its answers: one datagram each on a SOCK_SEQPACKET pair, a head and then
 * exactly the body of its kind. Both ends are the same binary; the owner checks sizes all the same, because a stage
 * that has been broken into may send anything.
 */
#ifndef STAGES_LIB_TPMWIRE_H
#define STAGES_LIB_TPMWIRE_H

#include "tpm.h"

enum tpm_request_kind {
	TPM_PRESENT,		/* nothing -> nothing: whether there is a TPM */
	TPM_PCR_READ,		/* uint32_t -> digest */
	TPM_MEASURE,		/* digest -> nothing */
	TPM_CLOSE_KEYS,		/* digest -> uint32_t: 1: later */
	TPM_SEAL,		/* struct tpm_seal_request -> struct tpm_seal_answer */
	TPM_UNSEAL,		/* struct tpm_unseal_request -> the bytes */
	TPM_SRK,		/* nothing -> uint32_t: RSA; the bytes */
	TPM_REPORT_READ,	/* nothing -> the bytes */
	TPM_SHELL_KEY,		/* nothing -> the bytes */
	TPM_RECORD_READ,	/* nothing -> the bytes */
	TPM_RECORD_WRITE,	/* 1 to TPM_RECORD_MAX bytes -> nothing */
	TPM_RECORD_CLEAR,	/* nothing -> nothing */
	TPM_VERSION_RAISE,	/* uint32_t -> nothing */
	TPM_REQUEST_MAX,
};

struct tpm_request {
	uint32_t kind;
	uint32_t size;		/* of the body */
};

struct tpm_answer {
	int32_t error;		/* 0 or negative errno; then there is no body */
	uint32_t size;		/* of the body */
	char reason[TPM_REASON_MAX];
};

struct tpm_wire_policy {
	uint32_t pcrs;
	uint32_t has_approval;
	struct tpm_approval approval;
};

struct tpm_seal_request {
	struct tpm_wire_policy policy;
	char uuid[TPM_VOLUME_MAX];
	uint32_t size;
	uint8_t bytes[TPM_SEAL_MAX];
};

struct tpm_seal_answer {
	struct tpm_sealed sealed;
	uint8_t digest[TPM_DIGEST_SIZE];
};

struct tpm_unseal_request {
	struct tpm_wire_policy policy;
	char uuid[TPM_VOLUME_MAX];
	struct tpm_sealed sealed;
};

#define TPM_REQUEST_SIZE_MAX sizeof(struct tpm_unseal_request)
#define TPM_ANSWER_SIZE_MAX  TPM_NV_MAX

_Static_assert(TPM_REQUEST_SIZE_MAX >= sizeof(struct tpm_seal_request) && TPM_REQUEST_SIZE_MAX >= TPM_RECORD_MAX &&
	       TPM_ANSWER_SIZE_MAX >= sizeof(struct tpm_seal_answer), "room for each body");

#endif
