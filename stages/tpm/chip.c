/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements chip.h. The device node is checked first, so that a missing TPM and one that does not answer differ. */
#define _GNU_SOURCE
#include "chip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tss2/tss2_tcti_device.h>
#include <tss2/tss2_tcti_swtpm.h>

#include "esys.h"

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
		if (strncmp(++conf, "path=", 5) == 0 && access(conf + 5, F_OK) < 0)
			return -errno;
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

int chip_open(const char *tcti, struct chip **ret)
{
	struct chip *chip;
	int r;

	/* The library's own lines on stderr would tell every refusal a second time. */
	setenv("TSS2_LOG", "all+none", 0);
	chip = calloc(1, sizeof(*chip));
	if (!chip)
		return -ENOMEM;
	r = tcti_open(tcti, &chip->tcti);
	if (r == 0)
		r = chip_translate(chip, "Esys_Initialize", Esys_Initialize(&chip->esys, chip->tcti, NULL));
	if (r < 0) {
		chip_close(chip);
		return r;
	}
	*ret = chip;
	return 0;
}

struct chip *chip_close(struct chip *chip)
{
	if (!chip)
		return NULL;
	if (chip->esys)
		Esys_Finalize(&chip->esys);
	if (chip->tcti) {
		Tss2_Tcti_Finalize(chip->tcti);
		free(chip->tcti);
	}
	free(chip);
	return NULL;
}

const char *chip_reason(const struct chip *chip)
{
	return chip->reason;
}

bool chip_is_broken(const struct chip *chip)
{
	return chip->broken;
}

void chip_forget_reason(struct chip *chip)
{
	chip->reason[0] = '\0';
}

int chip_pcr_read(struct chip *chip, unsigned pcr, uint8_t ret_digest[TPM_DIGEST_SIZE])
{
	TPML_PCR_SELECTION selection = chip_selection_of(1u << pcr);
	TPML_DIGEST *values = NULL;
	int r;

	r = chip_translate(chip, "TPM2_PCR_Read",
			  Esys_PCR_Read(chip->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection, NULL, NULL,
					&values));
	if (r < 0)
		return r;
	if (values->count != 1 || values->digests[0].size != TPM_DIGEST_SIZE)
		r = chip_refuse(chip, -EOPNOTSUPP, "TPM2_PCR_Read: no SHA-256 bank");
	else
		memcpy(ret_digest, values->digests[0].buffer, TPM_DIGEST_SIZE);
	Esys_Free(values);
	return r;
}

int chip_pcr_extend(struct chip *chip, unsigned pcr, const uint8_t digest[TPM_DIGEST_SIZE])
{
	TPML_DIGEST_VALUES values = {.count = 1, .digests[0].hashAlg = TPM2_ALG_SHA256};

	memcpy(values.digests[0].digest.sha256, digest, TPM_DIGEST_SIZE);
	return chip_translate(chip, "TPM2_PCR_Extend",
			     Esys_PCR_Extend(chip->esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
					     ESYS_TR_NONE, &values));
}

int chip_shutdown(struct chip *chip)
{
	return chip_translate(chip, "TPM2_Shutdown",
			      Esys_Shutdown(chip->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_SU_CLEAR));
}

int chip_srk_serialize(struct chip *chip, uint8_t **ret_bytes, size_t *ret_size, bool *ret_is_rsa)
{
	ESYS_TR srk = ESYS_TR_NONE;
	TPM2B_PUBLIC *public = NULL;
	uint8_t *bytes = NULL, *copy;
	size_t size = 0;
	int r;

	r = chip_srk_open(chip, &srk);
	if (r < 0)
		return r;
	r = chip_translate(chip, "TPM2_ReadPublic of the storage root key",
			  Esys_ReadPublic(chip->esys, srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public, NULL,
					  NULL));
	if (r == 0)
		r = chip_translate(chip, "storage root key", Esys_TR_Serialize(chip->esys, srk, &bytes, &size));
	if (r == 0) {
		copy = malloc(size);
		if (copy) {
			memcpy(copy, bytes, size);
			*ret_bytes = copy;
			*ret_size = size;
			*ret_is_rsa = public->publicArea.type == TPM2_ALG_RSA;
		} else {
			r = -ENOMEM;
		}
	}
	Esys_Free(bytes);
	Esys_Free(public);
	chip_forget(chip, srk);
	return r;
}
