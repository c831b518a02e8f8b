/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A few bytes sealed under the TPM's storage root key, to come back only in a boot that a policy allows. Two policies:
 * the present PCR values, and PCR values signed by a key, with a version not lower than the highest that ever ran on
 * this machine. Both require PCR 15 to be zero: extending it closes the seals for the rest of the boot.
 */
#ifndef STAGES_TPM_SEAL_H
#define STAGES_TPM_SEAL_H

#include <stdbool.h>

#include "chip.h"

/* As tpm_seal() and tpm_unseal() in stages/lib/tpm.h. */
int chip_seal(struct chip *chip, const struct tpm_policy *policy, const char uuid[TPM_VOLUME_MAX], const void *bytes,
	      size_t size, struct tpm_sealed *ret, uint8_t ret_digest[TPM_DIGEST_SIZE]);
int chip_unseal(struct chip *chip, const struct tpm_policy *policy, const char uuid[TPM_VOLUME_MAX],
		const struct tpm_sealed *sealed, struct secret *ret);

#endif
