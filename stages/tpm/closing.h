/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When PCR 15 is extended, as a pure state machine. From the moment it is wanted (a disk is open, the boot is held, the
 * disk's deadline is over) nothing is unsealed any more, for ever; it is done as soon as there is a TPM, in whatever
 * order the two come, and tried until it succeeds.
 */
#ifndef STAGES_TPM_CLOSING_H
#define STAGES_TPM_CLOSING_H

#include <stdbool.h>

#include "stages/lib/tpm.h"

/* Zero at first. */
struct closing {
	bool device;		/* there is a TPM */
	bool wanted;
	bool closed;
	bool has_digest;	/* of a volume; without it `digest` is not set */
	uint8_t digest[TPM_DIGEST_SIZE];
};

/* The TPM is there; is_zero: PCR 15 is. */
void closing_device(struct closing *closing, bool is_zero);

/* To be closed, with that digest (NULL: no volume's). The first digest of a volume stays. */
void closing_want(struct closing *closing, const uint8_t digest[TPM_DIGEST_SIZE]);

/* PCR 15 was extended. */
void closing_done(struct closing *closing);

/* Whether it is to be extended now: after each of the above, and again later after a failure. */
bool closing_due(const struct closing *closing);

bool closing_may_unseal(const struct closing *closing);

#endif
