/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TPM as the stages use it: open it, read and extend PCRs; tpmnv.h has its NV memory, tpmseal.h sealed keys. Every
 * call blocks for as long as the TPM takes (milliseconds; a second when it makes its storage root key). TPM and TSS
 * codes become a negative errno and one line of text in tpmesys.c and nowhere else.
 */
#ifndef STAGES_LIB_TPM_H
#define STAGES_LIB_TPM_H

#include <stddef.h>
#include <stdint.h>

#include "secret.h"

#define TPM_TCTI_DEFAULT "device:/dev/tpmrm0"
#define TPM_DIGEST_SIZE  32		/* SHA-256, the only bank that is used */

struct tpm;

/*
 * tcti: "device:/dev/tpmrm0" or "swtpm:path=...", "swtpm:host=...,port=...". -ENOENT: no such device; -EINVAL: not one
 * of these; -EIO: it does not answer.
 */
int tpm_open(const char *tcti, struct tpm **ret);
struct tpm *tpm_close(struct tpm *tpm);	/* takes NULL, returns NULL */

static inline void cleanup_tpm(struct tpm **tpm)	/* for _cleanup_() */
{
	tpm_close(*tpm);
}

/* Which command failed last and how, in one line: `TPM2_Unseal: policy not met (0x99d)`. Empty at first. */
const char *tpm_reason(const struct tpm *tpm);

/* pcrs: bit n stands for PCR n, 0..23. */
int tpm_pcr_read(struct tpm *tpm, unsigned pcr, uint8_t ret_digest[TPM_DIGEST_SIZE]);
int tpm_pcr_extend(struct tpm *tpm, unsigned pcr, const uint8_t digest[TPM_DIGEST_SIZE]);

#endif
