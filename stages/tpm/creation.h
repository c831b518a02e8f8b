/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which image made a sealed object: the TPM's creation data say which PCR values there were when TPM2_Create ran, and
 * its ticket that this TPM said so. So a key that another image sealed to our PCR values is not taken for ours.
 */
#ifndef STAGES_TPM_CREATION_H
#define STAGES_TPM_CREATION_H

#include "esys.h"

/* What creation data name in outsideInfo: the volume, and the digest of what is sealed. */
int creation_names(const char uuid[TPM_VOLUME_MAX], const void *bytes, size_t size, TPM2B_DATA *ret);

/* The image that sealed a key for signed policies: what its own signed policy is about. */
struct creation_image {
	uint8_t values[3 * TPM_DIGEST_SIZE];	/* of PCR 4, 9 and 11 */
	uint8_t version[4];			/* big-endian */
	uint8_t signature[TPM_RSA_SIZE];	/* of its policy */
};

/* As kept beside the blob; image NULL: without. */
int creation_pack(struct chip *chip, const TPM2B_CREATION_DATA *data, const TPMT_TK_CREATION *ticket,
		  const struct creation_image *image, struct tpm_creation *ret);

/* 1: *ret is the image; 0: there is none. What it says is not checked. */
int creation_image(const struct tpm_creation *creation, struct creation_image *ret);

/* What a loaded object's creation must have been. */
struct creation_wanted {
	ESYS_TR srk, object;
	uint32_t pcrs;		/* the selection, exactly */
	TPM2B_DIGEST values;	/* the digest of those PCRs */
};

/*
 * Has the TPM certify the creation (TPM2_CertifyCreation without a signing key, in a session salted with the storage
 * root key) and checks it. 0: it was as wanted; *ret_names is its outsideInfo. -EKEYREJECTED with the reason.
 */
int creation_check(struct chip *chip, const struct tpm_creation *creation, const struct creation_wanted *wanted,
		   TPM2B_DATA *ret_names);

#endif
