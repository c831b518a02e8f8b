/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TPM as the stages use it: requests to its owner (role `tpm`, stages/tpm) over the socket that PID 1 gave this
 * stage. Each blocks for as long as the TPM takes: milliseconds; a second when it makes its storage root key. Errors
 * are a negative errno and one line of text, as the owner made them. A stage may ask only what its type is for.
 */
#ifndef STAGES_LIB_TPM_H
#define STAGES_LIB_TPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"

#define TPM_DIGEST_SIZE 32		/* SHA-256, the only bank that is used */
#define TPM_PCR_MEASURE 14		/* 4, 9 and 11 carry the image's own measurements and are never extended */
#define TPM_PCR_CLOSE   15		/* zero until the disk is open */
#define TPM_SIGNED_PCRS (1u << 4 | 1u << 9 | 1u << 11)
#define TPM_SEAL_MAX    128		/* bytes; every TPM can seal as many: MAX_SYM_DATA */
#define TPM_BLOB_MAX    1024
#define TPM_CREATION_MAX 640
#define TPM_RSA_SIZE    256		/* bytes: RSA 2048, which every TPM can verify */
#define TPM_NV_MAX      16384		/* bytes of one index */
#define TPM_RECORD_MAX  128		/* bytes of the record of a formatting */
#define TPM_VOLUME_MAX  40		/* bytes of a volume's UUID as text, NUL included */
#define TPM_REASON_MAX  160

/* A sealed object outside the TPM: TPM2B_PRIVATE, then TPM2B_PUBLIC, as the TPM marshals them. Not secret. */
struct tpm_blob {
	size_t size;
	uint8_t bytes[TPM_BLOB_MAX];
};

/*
 * How the TPM made it: TPM2B_CREATION_DATA, then the ticket, TPMT_TK_CREATION; of a key for signed policies, then what
 * tells that its image was signed (stages/tpm/creation.h). Not secret. Size 0: not known.
 */
struct tpm_creation {
	size_t size;
	uint8_t bytes[TPM_CREATION_MAX];
};

struct tpm_sealed {
	struct tpm_blob blob;
	struct tpm_creation creation;
};

/* The signed policy of an image: docs/upgrade.md. */
struct tpm_approval {
	uint8_t modulus[TPM_RSA_SIZE];	/* of the key, big-endian; its exponent is 65537 */
	uint32_t version;		/* of this image */
	uint32_t is_signed;		/* whether the rest is there; sealing does without */
	uint8_t policy[TPM_DIGEST_SIZE];
	uint8_t signature[TPM_RSA_SIZE];	/* RSASSA, SHA-256, of policy and TPM_POLICY_REF */
};

struct tpm_policy {
	uint32_t pcrs;			/* bit n: sealed to PCR n */
	const struct tpm_approval *approval;	/* not NULL: that instead, and PCR 15 */
};

struct tpm;

/* -ENOENT: there is no TPM yet; -EIO: its owner does not answer. */
int tpm_open(struct tpm **ret);
struct tpm *tpm_close(struct tpm *tpm);	/* takes NULL, returns NULL */

static inline void cleanup_tpm(struct tpm **tpm)	/* for _cleanup_() */
{
	tpm_close(*tpm);
}

/* Which command failed last and how, in one line: `TPM2_Unseal: policy not met (0x99d)`. Empty at first. */
const char *tpm_reason(const struct tpm *tpm);

int tpm_pcr_read(struct tpm *tpm, unsigned pcr, uint8_t ret_digest[TPM_DIGEST_SIZE]);

/* Extends PCR 14. */
int tpm_measure(struct tpm *tpm, const uint8_t digest[TPM_DIGEST_SIZE]);

/*
 * A disk is open: from here on the owner unseals nothing in this boot, and extends PCR 15 with the digest, if it is
 * zero. 0: it is extended; 1: there is no TPM yet, and it will be as soon as there is one. Otherwise negative errno
 * with the reason; the owner tries it again by itself.
 */
int tpm_close_keys(const uint8_t digest[TPM_DIGEST_SIZE], char why[TPM_REASON_MAX]);

/*
 * Seals the bytes for the volume with that UUID. -EKEYREJECTED: PCR 15 is not zero any more, so what is sealed now
 * could never be opened. The SHA-256 digest of the policy goes to ret_digest. With an approval the version counter is
 * raised to its version first.
 */
int tpm_seal(struct tpm *tpm, const struct tpm_policy *policy, const char *uuid, const void *bytes, size_t size,
	     struct tpm_sealed *ret, uint8_t ret_digest[TPM_DIGEST_SIZE]);

/*
 * -EKEYREJECTED: the policy does not allow it, or the bytes were not sealed by this image for this volume (without an
 * approval), and the reason says which; -EBADMSG: not a blob of ours, or not of this TPM; -EBUSY: the TPM is in
 * lockout; -EAGAIN: it was too busy for a bounded number of tries.
 */
int tpm_unseal(struct tpm *tpm, const struct tpm_policy *policy, const char *uuid, const struct tpm_sealed *sealed,
	       struct secret *ret);

/*
 * The storage root key as systemd's tokens name it: the ESYS serialisation of its handle, the caller's to free.
 * *ret_is_rsa: of which kind it is.
 */
int tpm_srk_serialize(struct tpm *tpm, uint8_t **ret_bytes, size_t *ret_size, bool *ret_is_rsa);

/* The attestation report that a cloud left in the TPM, the caller's to free. -ENOENT: none. */
int tpm_report_read(struct tpm *tpm, uint8_t **ret_bytes, size_t *ret_size);

/* The key that the shell init left in the TPM's memory. -ENOENT: none. */
int tpm_shell_key(struct tpm *tpm, struct secret *ret);

/* The record of a formatting that has begun, at most TPM_RECORD_MAX bytes. Reading: the size; 0: there is none. */
int tpm_record_read(struct tpm *tpm, uint8_t ret[TPM_RECORD_MAX]);
int tpm_record_write(struct tpm *tpm, const void *bytes, size_t size);
int tpm_record_clear(struct tpm *tpm);

/* Raises the counter of the highest version that ran to at least this one. -ERANGE: it is too far below. */
int tpm_version_raise(struct tpm *tpm, uint32_t version);

#endif
