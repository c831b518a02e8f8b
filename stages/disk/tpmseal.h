/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A few bytes sealed under the TPM's storage root key, to come back only in a boot that a policy allows. Two policies:
 * the present PCR values, and PCR values signed by a key, with a version not lower than the highest that ever ran on
 * this machine. Both require PCR 15 to be zero: extending it closes the seals for the rest of the boot.
 */
#ifndef STAGES_DISK_TPMSEAL_H
#define STAGES_DISK_TPMSEAL_H

#include <stdbool.h>

#include "stages/lib/tpm.h"

#define TPM_PCR_CLOSE   15		/* zero until the disk is open */
#define TPM_SEAL_MAX    128		/* bytes; every TPM can seal as many: MAX_SYM_DATA */
#define TPM_BLOB_MAX    1024
#define TPM_RSA_SIZE    256		/* bytes: RSA 2048, which every TPM can verify */
#define TPM_VERSION_NV  0x01801602u	/* the counter of the highest version that ran */
#define TPM_POLICY_REF  "gantry-disk-v1"
#define TPM_SIGNED_PCRS (1u << 4 | 1u << 9 | 1u << 11)

/* A sealed object outside the TPM: TPM2B_PRIVATE, then TPM2B_PUBLIC, as the TPM marshals them. Not secret. */
struct tpm_blob {
	size_t size;
	uint8_t bytes[TPM_BLOB_MAX];
};

/* The signed policy of an image: docs/upgrade.md. */
struct tpm_approval {
	uint8_t modulus[TPM_RSA_SIZE];	/* of the key, big-endian; its exponent is 65537 */
	unsigned version;		/* of this image */
	bool is_signed;			/* whether the rest is there; sealing does without */
	uint8_t policy[TPM_DIGEST_SIZE];
	uint8_t signature[TPM_RSA_SIZE];	/* RSASSA, SHA-256, of policy and TPM_POLICY_REF */
};

struct tpm_policy {
	uint32_t pcrs;			/* bit n: sealed to PCR n */
	const struct tpm_approval *approval;	/* not NULL: that instead, and PCR 15 */
};

/*
 * -EKEYREJECTED: PCR 15 is not zero any more, so what is sealed now could never be opened. The SHA-256 digest of the
 * policy goes to ret_digest. With an approval the counter is raised to its version first.
 */
int tpm_seal(struct tpm *tpm, const struct tpm_policy *policy, const void *bytes, size_t size, struct tpm_blob *ret,
	     uint8_t ret_digest[TPM_DIGEST_SIZE]);

/*
 * -EKEYREJECTED: the policy does not allow it, and the reason says which part of it; -EBADMSG: not a blob of ours, or
 * not of this TPM; -EBUSY: the TPM is in lockout; -EAGAIN: it was too busy for a bounded number of tries.
 */
int tpm_unseal(struct tpm *tpm, const struct tpm_policy *policy, const struct tpm_blob *blob, struct secret *ret);

/*
 * The storage root key as systemd's tokens name it: the ESYS serialisation of its handle, the caller's to free.
 * *ret_is_rsa: of which kind it is.
 */
int tpm_srk_serialize(struct tpm *tpm, uint8_t **ret_bytes, size_t *ret_size, bool *ret_is_rsa);

#endif
