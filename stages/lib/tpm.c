/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements tpm.h. The device node is checked first, so that a missing TPM and one that does not answer differ. */
#define _GNU_SOURCE
#include "tpm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tss2/tss2_tcti_device.h>
#include <tss2/tss2_tcti_swtpm.h>

#include "tpmesys.h"

static int tcti_open(const char *name, TSS2_TCTI_CONTEXT **ret)
{
	TSS2_RC (*init)(TSS2_TCTI_CONTEXT *, size_t *, const char *);
	TSS2_TCTI_CONTEXT *context;
	const char *conf = strchr(name, ':');
	size_t size = 0;

	if (conf && strncmp(name, "device:", 7) == 0) {
		init = Tss2_Tcti_Device_Init;
		if (access(++conf, F_OK) < 0)
			return -errno;
	} else if (conf && strncmp(name, "swtpm:", 6) == 0) {
		init = Tss2_Tcti_Swtpm_Init;
		conf++;
	} else {
		return -EINVAL;
	}
	if (init(NULL, &size, NULL) != TSS2_RC_SUCCESS)
		return -EIO;
	context = calloc(1, size);
	if (!context)
		return -ENOMEM;
	if (init(context, &size, conf) != TSS2_RC_SUCCESS) {
		free(context);
		return -EIO;
	}
	*ret = context;
	return 0;
}

int tpm_open(const char *tcti, struct tpm **ret)
{
	struct tpm *tpm;
	int r;

	/* The library's own lines on stderr would tell every refusal a second time. */
	setenv("TSS2_LOG", "all+none", 0);
	tpm = calloc(1, sizeof(*tpm));
	if (!tpm)
		return -ENOMEM;
	r = tcti_open(tcti, &tpm->tcti);
	if (r == 0)
		r = tpm_translate(tpm, "Esys_Initialize", Esys_Initialize(&tpm->esys, tpm->tcti, NULL));
	if (r < 0) {
		tpm_close(tpm);
		return r;
	}
	*ret = tpm;
	return 0;
}

struct tpm *tpm_close(struct tpm *tpm)
{
	if (!tpm)
		return NULL;
	if (tpm->esys)
		Esys_Finalize(&tpm->esys);
	if (tpm->tcti) {
		Tss2_Tcti_Finalize(tpm->tcti);
		free(tpm->tcti);
	}
	free(tpm);
	return NULL;
}

const char *tpm_reason(const struct tpm *tpm)
{
	return tpm->reason;
}

int tpm_pcr_read(struct tpm *tpm, unsigned pcr, uint8_t ret_digest[TPM_DIGEST_SIZE])
{
	TPML_PCR_SELECTION selection = tpm_selection_of(1u << pcr);
	TPML_DIGEST *values = NULL;
	int r;

	r = tpm_translate(tpm, "TPM2_PCR_Read",
			  Esys_PCR_Read(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection, NULL, NULL,
					&values));
	if (r < 0)
		return r;
	if (values->count != 1 || values->digests[0].size != TPM_DIGEST_SIZE)
		r = tpm_refuse(tpm, -EOPNOTSUPP, "TPM2_PCR_Read: no SHA-256 bank");
	else
		memcpy(ret_digest, values->digests[0].buffer, TPM_DIGEST_SIZE);
	Esys_Free(values);
	return r;
}

int tpm_pcr_extend(struct tpm *tpm, unsigned pcr, const uint8_t digest[TPM_DIGEST_SIZE])
{
	TPML_DIGEST_VALUES values = {.count = 1, .digests[0].hashAlg = TPM2_ALG_SHA256};

	memcpy(values.digests[0].digest.sha256, digest, TPM_DIGEST_SIZE);
	return tpm_translate(tpm, "TPM2_PCR_Extend",
			     Esys_PCR_Extend(tpm->esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
					     ESYS_TR_NONE, &values));
}
