/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies over PCR values, in a session with the TPM. All of them have PCR 15 at zero, so extending it closes what is
 * sealed for the rest of the boot.
 */
#ifndef STAGES_TPM_POLICY_H
#define STAGES_TPM_POLICY_H

#include "esys.h"

#define POLICY_CLOSE (1u << TPM_PCR_CLOSE)

/* The digest over `size` bytes of PCR values, as TPM2_PolicyPCR wants it. */
int policy_digest_values(const uint8_t *values, size_t size, TPM2B_DIGEST *ret);

/* The same over the PCRs' present values; -EKEYREJECTED: PCR 15 is among them, and not zero. */
int policy_digest_now(struct chip *chip, uint32_t pcrs, TPM2B_DIGEST *ret);

/* TPM2_PolicyPCR; digest NULL: the values as they are now. */
int policy_pcr(struct chip *chip, ESYS_TR session, uint32_t pcrs, const TPM2B_DIGEST *digest);

/* The digest of the policy that ask() asks for in the session that it gets. Nothing is met in it. */
int policy_trial(struct chip *chip, ESYS_TR srk, int (*ask)(struct chip *chip, ESYS_TR session, const void *of),
		 const void *of, TPM2B_DIGEST *ret);

#endif
