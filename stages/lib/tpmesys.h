/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ground of tpm.c, tpmnv.c and tpmseal.c, the only files that include it: the ESYS context, translated errors,
 * sessions, the storage root key. Handles are flushed even on failure: a swtpm without resource manager has three.
 */
#ifndef STAGES_LIB_TPMESYS_H
#define STAGES_LIB_TPMESYS_H

#include <stddef.h>
#include <stdint.h>

#include <tss2/tss2_esys.h>

#define TPM_SRK       0x81000001u	/* storage root key: TCG TPM v2.0 Provisioning Guidance, section 7.5.1 */
#define TPM_TRIES_MAX 8			/* of a whole act, when a PCR changed meanwhile or the TPM is busy */

struct tpm {
	ESYS_CONTEXT *esys;
	TSS2_TCTI_CONTEXT *tcti;
	char reason[160];
};

/* 0 or negative errno; the reason names the command and its response. */
int tpm_translate(struct tpm *tpm, const char *command, TSS2_RC rc);

/* That error, and that text as the reason. */
int tpm_refuse(struct tpm *tpm, int error, const char *text);

void tpm_flush(struct tpm *tpm, ESYS_TR handle);	/* of a session or transient object; takes ESYS_TR_NONE */
void tpm_forget(struct tpm *tpm, ESYS_TR handle);	/* ESYS lets go of a persistent object; the TPM keeps it */
void tpm_wipe_free(void *bytes, size_t size);		/* memory allocated by ESYS */

TPML_PCR_SELECTION tpm_selection_of(uint32_t pcrs);

/* The storage root key: made if missing, -EBADF if another object is in its place. */
int tpm_srk_open(struct tpm *tpm, ESYS_TR *ret);

/* A session salted with the storage root key, with AES for parameters; it stays until it is flushed. */
int tpm_session_start(struct tpm *tpm, ESYS_TR srk, TPM2_SE type, TPMA_SESSION attributes, ESYS_TR *ret);

#endif
