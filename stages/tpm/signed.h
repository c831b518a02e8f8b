/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images whose policy a key has signed: PCR 4, 9 and 11 of the image, and a version that no higher one has overtaken on
 * this machine (TPM2_PolicyNV on a counter). Which key that is, the sealed object says; what it has signed, each image
 * brings with it.
 */
#ifndef STAGES_TPM_SIGNED_H
#define STAGES_TPM_SIGNED_H

#include "creation.h"
#include "esys.h"

/* In a trial session: whatever the key signs. */
int signed_ask(struct chip *chip, ESYS_TR session, const struct tpm_approval *approval);

/* In a policy session: what it has signed for this image. -EKEYREJECTED: with the reason. */
int signed_meet(struct chip *chip, ESYS_TR session, const struct tpm_approval *approval);

/* What a later image needs to know of this one: 1, or 0 if this one is not signed. */
int signed_this_image(struct chip *chip, const struct tpm_approval *approval, struct creation_image *ret);

/* *ret: the digest of that image's PCRs and PCR 15 at zero, if the key of `own` has signed the image. */
int signed_values(struct chip *chip, ESYS_TR srk, const struct tpm_approval *own, const struct creation_image *image,
		  TPM2B_DIGEST *ret);

#endif
