/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ground of chip.c, nv.c and seal.c, the only files that include it: the ESYS context, translated errors,
 * sessions, the storage root key. Handles are flushed even on failure: a swtpm without resource manager has three.
 */
#ifndef STAGES_TPM_ESYS_H
#define STAGES_TPM_ESYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tss2/tss2_esys.h>

#include "stages/lib/tpm.h"

#define TPM_SRK       0x81000001u	/* storage root key: TCG TPM v2.0 Provisioning Guidance, section 7.5.1 */
#define TPM_TRIES_MAX 8			/* of a whole act, when a PCR changed meanwhile or the TPM is busy */

struct chip {
	ESYS_CONTEXT *esys;
	TSS2_TCTI_CONTEXT *tcti;
	char reason[TPM_REASON_MAX];
	bool broken;		/* see chip_is_broken() */
};

/* 0 or negative errno; the reason names the command and its response. */
int chip_translate(struct chip *chip, const char *command, TSS2_RC rc);

/* That error, and that text as the reason. */
int chip_refuse(struct chip *chip, int error, const char *text);

void chip_flush(struct chip *chip, ESYS_TR handle);	/* of a session or transient object; takes ESYS_TR_NONE */
void chip_forget(struct chip *chip, ESYS_TR handle);	/* ESYS lets go of a persistent object; the TPM keeps it */
void chip_wipe_free(void *bytes, size_t size);		/* memory allocated by ESYS */

TPML_PCR_SELECTION chip_selection_of(uint32_t pcrs);

/* The storage root key: made if missing, -EBADF if another object is in its place. */
int chip_srk_open(struct chip *chip, ESYS_TR *ret);

/* A session salted with the storage root key, with AES for parameters; it stays until it is flushed. */
int chip_session_start(struct chip *chip, ESYS_TR srk, TPM2_SE type, TPMA_SESSION attributes, ESYS_TR *ret);

#endif
