/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements policy.h. PCR values go into a policy as they were read: nothing that changes meanwhile gets in. */
#define _GNU_SOURCE
#include "policy.h"

#include <errno.h>

#include <mbedtls/sha256.h>

#include "chip.h"

static bool is_zero(const uint8_t *bytes, size_t size)
{
	uint8_t any = 0;

	for (size_t i = 0; i < size; i++)
		any |= bytes[i];
	return any == 0;
}

int policy_digest_values(const uint8_t *values, size_t size, TPM2B_DIGEST *ret)
{
	ret->size = TPM_DIGEST_SIZE;
	return mbedtls_sha256(values, size, ret->buffer, 0) == 0 ? 0 : -EIO;
}

int policy_digest_now(struct chip *chip, uint32_t pcrs, TPM2B_DIGEST *ret)
{
	uint8_t values[24 * TPM_DIGEST_SIZE];
	size_t used = 0;

	for (unsigned i = 0; i < 24; i++) {
		int r;

		if (!(pcrs & 1u << i))
			continue;
		r = chip_pcr_read(chip, i, values + used);
		if (r < 0)
			return r;
		if (i == TPM_PCR_CLOSE && !is_zero(values + used, TPM_DIGEST_SIZE))
			return chip_refuse(chip, -EKEYREJECTED, "PCR 15 has been extended in this boot");
		used += TPM_DIGEST_SIZE;
	}
	return policy_digest_values(values, used, ret);
}

int policy_pcr(struct chip *chip, ESYS_TR session, uint32_t pcrs, const TPM2B_DIGEST *digest)
{
	static const TPM2B_DIGEST current;
	TPML_PCR_SELECTION selection = chip_selection_of(pcrs);

	return chip_translate(chip, "TPM2_PolicyPCR",
			      Esys_PolicyPCR(chip->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
					     digest ? digest : &current, &selection));
}

int policy_trial(struct chip *chip, ESYS_TR srk, int (*ask)(struct chip *chip, ESYS_TR session, const void *of),
		 const void *of, TPM2B_DIGEST *ret)
{
	ESYS_TR session = ESYS_TR_NONE;
	TPM2B_DIGEST *digest = NULL;
	int r = chip_session_start(chip, srk, TPM2_SE_TRIAL, 0, &session);

	if (r == 0)
		r = ask(chip, session, of);
	if (r == 0)
		r = chip_translate(chip, "TPM2_PolicyGetDigest",
				   Esys_PolicyGetDigest(chip->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
							&digest));
	chip_flush(chip, session);
	if (r == 0)
		*ret = *digest;
	Esys_Free(digest);
	return r;
}
