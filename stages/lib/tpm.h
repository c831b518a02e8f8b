/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TPM as the stages use it: read and extend PCRs, read NV, seal a few bytes to PCR values and get them back.
 * Every call blocks for as long as the TPM takes (milliseconds; a second when it makes its storage root key).
 * TPM and TSS codes become a negative errno and one line of text here and nowhere else.
 */
#ifndef STAGES_LIB_TPM_H
#define STAGES_LIB_TPM_H

#include <stddef.h>
#include <stdint.h>

#include "secret.h"

#define TPM_TCTI_DEFAULT "device:/dev/tpmrm0"
#define TPM_SRK          0x81000001u	/* storage root key: TCG TPM v2.0 Provisioning Guidance, section 7.5.1 */
#define TPM_DIGEST_SIZE  32		/* SHA-256, the only bank that is used */
#define TPM_SEAL_MAX     128		/* bytes; what every TPM can seal: MAX_SYM_DATA */
#define TPM_BLOB_MAX     1024
#define TPM_NV_MAX       16384

struct tpm;

/* A sealed object outside the TPM: TPM2B_PRIVATE, then TPM2B_PUBLIC, as the TPM marshals them. Not secret. */
struct tpm_blob {
	size_t size;
	uint8_t bytes[TPM_BLOB_MAX];
};

/*
 * tcti: "device:/dev/tpmrm0" or "swtpm:path=...", "swtpm:host=...,port=...". -ENOENT: there is no such device;
 * -EINVAL: not one of these; -EIO: it does not answer.
 */
int tpm_open(const char *tcti, struct tpm **ret);
struct tpm *tpm_close(struct tpm *tpm);	/* takes NULL, returns NULL */

/* Which command failed last and how, in one line: `TPM2_Unseal: policy not met (0x99d)`. Empty at first. */
const char *tpm_reason(const struct tpm *tpm);

/* pcrs: bit n stands for PCR n, 0..23. */
int tpm_pcr_read(struct tpm *tpm, unsigned pcr, uint8_t ret_digest[TPM_DIGEST_SIZE]);
int tpm_pcr_extend(struct tpm *tpm, unsigned pcr, const uint8_t digest[TPM_DIGEST_SIZE]);

/*
 * The whole content of an NV index, in chunks as large as the TPM gives, by the owner's empty authorisation.
 * -ENOENT: no such index. *ret_bytes is the caller's to free.
 */
int tpm_nv_read(struct tpm *tpm, uint32_t index, uint8_t **ret_bytes, size_t *ret_size);

/*
 * Seals bytes under the storage root key (made if missing, refused if it is not one) so that only a boot in which
 * these PCRs have the values they have now can unseal them.
 */
int tpm_seal(struct tpm *tpm, uint32_t pcrs, const void *bytes, size_t size, struct tpm_blob *ret);

/*
 * -EKEYREJECTED: these PCRs have other values now; -EBADMSG: not a blob of ours, or not of this TPM; -EBUSY: the
 * TPM is in lockout; -EAGAIN: it was too busy for a bounded number of tries.
 */
int tpm_unseal(struct tpm *tpm, uint32_t pcrs, const struct tpm_blob *blob, struct secret *ret);

#endif
