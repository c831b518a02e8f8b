/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ESYS calls in the order the TPM wants them. Calls that carry a secret go through a session salted with the storage
 * root key and with parameter encryption, so a listener between the TPM and this process learns nothing.
 */
#define _GNU_SOURCE
#include "esys.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FORMAT_ONE 0x80u

/* TPM 2.0 library part 2, section 6.6.3. Codes of format one stand here without their handle, parameter, session. */
static const struct {
	uint32_t code;
	int error;
	const char *text;
} codes[] = {
	{TPM2_RC_PCR_CHANGED, -EAGAIN, "a PCR changed meanwhile"},
	{TPM2_RC_RETRY, -EAGAIN, "busy"},
	{TPM2_RC_YIELDED, -EAGAIN, "busy"},
	{TPM2_RC_TESTING, -EAGAIN, "self-test is running"},
	{TPM2_RC_NV_RATE, -EAGAIN, "writes too often"},
	{TPM2_RC_LOCKOUT, -EBUSY, "in lockout"},
	{TPM2_RC_FAILURE, -EIO, "in failure mode"},
	{TPM2_RC_INITIALIZE, -EIO, "not started"},
	{TPM2_RC_OBJECT_MEMORY, -ENOMEM, "out of memory for objects"},
	{TPM2_RC_SESSION_MEMORY, -ENOMEM, "out of memory for sessions"},
	{TPM2_RC_MEMORY, -ENOMEM, "out of memory"},
	{TPM2_RC_SESSION_HANDLES, -ENOMEM, "out of session handles"},
	{TPM2_RC_OBJECT_HANDLES, -ENOMEM, "out of object handles"},
	{TPM2_RC_NV_SPACE, -ENOSPC, "NV is full"},
	{TPM2_RC_NV_DEFINED, -EEXIST, "exists already"},
	{TPM2_RC_NV_UNINITIALIZED, -ENODATA, "NV index was never written"},
	{TPM2_RC_NV_AUTHORIZATION, -EACCES, "NV access refused"},
	{TPM2_RC_NV_LOCKED, -EACCES, "NV index is locked"},
	{TPM2_RC_NV_RANGE, -ERANGE, "beyond the NV index"},
	{TPM2_RC_HANDLE, -ENOENT, "no such object"},
	{TPM2_RC_POLICY_FAIL, -EKEYREJECTED, "policy not met"},
	{TPM2_RC_POLICY, -EKEYREJECTED, "policy not met"},
	{TPM2_RC_AUTH_FAIL, -EACCES, "authorisation refused"},
	{TPM2_RC_BAD_AUTH, -EACCES, "authorisation refused"},
	{TPM2_RC_INTEGRITY, -EBADMSG, "not made by this TPM"},
	{TPM2_RC_CURVE, -EOPNOTSUPP, "curve not supported"},
	{TPM2_RC_VALUE, -EINVAL, "value refused"},
};

int chip_translate(struct chip *chip, const char *command, TSS2_RC rc)
{
	uint32_t layer = rc & TSS2_RC_LAYER_MASK, code = rc & 0xffff;
	int error = -EIO;
	const char *text = "failed";

	if (rc == TSS2_RC_SUCCESS)
		return 0;
	if (layer == 0 || layer == TSS2_RESMGR_TPM_RC_LAYER) {
		if (code & FORMAT_ONE)
			code &= 0xbf;
		for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
			if (codes[i].code == code) {
				error = codes[i].error;
				text = codes[i].text;
				break;
			}
	} else if (code == TSS2_BASE_RC_IO_ERROR || code == TSS2_BASE_RC_NO_CONNECTION) {
		text = "TPM does not answer";
		chip->broken = true;
	} else if (code == TSS2_BASE_RC_TRY_AGAIN) {
		error = -EAGAIN;
		text = "busy";
	} else if (code == TSS2_BASE_RC_MEMORY) {
		error = -ENOMEM;
		text = "out of memory";
	} else if (code == TSS2_BASE_RC_BAD_SEQUENCE || code == TSS2_BASE_RC_GENERAL_FAILURE) {
		chip->broken = true;
	}
	snprintf(chip->reason, sizeof(chip->reason), "%s: %s (0x%x)", command, text, rc);
	return error;
}

int chip_refuse(struct chip *chip, int error, const char *text)
{
	snprintf(chip->reason, sizeof(chip->reason), "%s", text);
	return error;
}

void chip_wipe_free(void *bytes, size_t size)
{
	if (bytes)
		explicit_bzero(bytes, size);
	Esys_Free(bytes);
}

void chip_flush(struct chip *chip, ESYS_TR handle)
{
	if (handle != ESYS_TR_NONE)
		(void)Esys_FlushContext(chip->esys, handle);
}

/* Frees the ESYS state of a persistent object; the TPM keeps the object. */
void chip_forget(struct chip *chip, ESYS_TR handle)
{
	if (handle != ESYS_TR_NONE)
		(void)Esys_TR_Close(chip->esys, &handle);
}

TPML_PCR_SELECTION chip_selection_of(uint32_t pcrs)
{
	return (TPML_PCR_SELECTION){
		.count = 1,
		.pcrSelections[0] = {
			.hash = TPM2_ALG_SHA256,
			.sizeofSelect = 3,
			.pcrSelect = {(uint8_t)pcrs, (uint8_t)(pcrs >> 8), (uint8_t)(pcrs >> 16)},
		},
	};
}

#define SRK_ATTRIBUTES (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | \
			TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

/* A storage key that never leaves this TPM. Azure's is RSA 2048, ours is P-256: both from the TCG's templates. */
static bool srk_is_one(const TPMT_PUBLIC *public)
{
	const TPMT_SYM_DEF_OBJECT *symmetric;

	if ((public->objectAttributes & (SRK_ATTRIBUTES | TPMA_OBJECT_SIGN_ENCRYPT)) != SRK_ATTRIBUTES)
		return false;
	if (public->nameAlg != TPM2_ALG_SHA256 && public->nameAlg != TPM2_ALG_SHA384)
		return false;
	if (public->type == TPM2_ALG_RSA && public->parameters.rsaDetail.keyBits >= 2048)
		symmetric = &public->parameters.rsaDetail.symmetric;
	else if (public->type == TPM2_ALG_ECC && (public->parameters.eccDetail.curveID == TPM2_ECC_NIST_P256 ||
						  public->parameters.eccDetail.curveID == TPM2_ECC_NIST_P384))
		symmetric = &public->parameters.eccDetail.symmetric;
	else
		return false;
	return symmetric->algorithm == TPM2_ALG_AES && symmetric->keyBits.aes >= 128 &&
	       symmetric->mode.aes == TPM2_ALG_CFB;
}

/* TCG TPM v2.0 Provisioning Guidance 1.0, section 7.5.1, with the templates of the EK Credential Profile, B.3-4. */
static const TPM2B_PUBLIC srk_template_ecc = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = SRK_ATTRIBUTES | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
		.parameters.eccDetail = {
			.symmetric = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB},
			.scheme.scheme = TPM2_ALG_NULL,
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc = {.x.size = 32, .y.size = 32},
	},
};

static const TPM2B_PUBLIC srk_template_rsa = {
	.publicArea = {
		.type = TPM2_ALG_RSA,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = SRK_ATTRIBUTES | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
		.parameters.rsaDetail = {
			.symmetric = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB},
			.scheme.scheme = TPM2_ALG_NULL,
			.keyBits = 2048,
		},
		.unique.rsa.size = 256,
	},
};

static int srk_create(struct chip *chip, ESYS_TR *ret)
{
	static const TPM2B_SENSITIVE_CREATE sensitive;
	static const TPM2B_DATA outside;
	static const TPML_PCR_SELECTION none;
	static const TPM2B_PUBLIC *const templates[] = {&srk_template_ecc, &srk_template_rsa};
	ESYS_TR transient = ESYS_TR_NONE, persistent = ESYS_TR_NONE;
	int r = -EINVAL;

	for (size_t i = 0; i < sizeof(templates) / sizeof(*templates); i++) {
		r = chip_translate(chip, "TPM2_CreatePrimary",
				  Esys_CreatePrimary(chip->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
						     ESYS_TR_NONE, &sensitive, templates[i], &outside, &none,
						     &transient, NULL, NULL, NULL, NULL));
		if (r != -EINVAL && r != -EOPNOTSUPP)
			break;
	}
	if (r < 0)
		return r;
	r = chip_translate(chip, "TPM2_EvictControl",
			  Esys_EvictControl(chip->esys, ESYS_TR_RH_OWNER, transient, ESYS_TR_PASSWORD, ESYS_TR_NONE,
					    ESYS_TR_NONE, TPM_SRK, &persistent));
	chip_flush(chip, transient);
	if (r == 0)
		*ret = persistent;
	return r;
}

int chip_srk_open(struct chip *chip, ESYS_TR *ret)
{
	ESYS_TR srk = ESYS_TR_NONE;
	TPM2B_PUBLIC *public = NULL;
	int r;

	r = chip_translate(chip, "TPM2_ReadPublic of the storage root key",
			  Esys_TR_FromTPMPublic(chip->esys, TPM_SRK, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						&srk));
	if (r == -ENOENT)
		return srk_create(chip, ret);
	if (r < 0)
		return r;
	r = chip_translate(chip, "TPM2_ReadPublic of the storage root key",
			  Esys_ReadPublic(chip->esys, srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public, NULL,
					  NULL));
	if (r == 0 && !srk_is_one(&public->publicArea))
		r = chip_refuse(chip, -EBADF, "the object at 0x81000001 is not a storage root key");
	Esys_Free(public);
	if (r < 0) {
		chip_forget(chip, srk);
		return r;
	}
	*ret = srk;
	return 0;
}

int chip_session_start(struct chip *chip, ESYS_TR srk, TPM2_SE type, TPMA_SESSION attributes, ESYS_TR *ret)
{
	static const TPMT_SYM_DEF symmetric = {
		.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB,
	};
	ESYS_TR session = ESYS_TR_NONE;
	int r;

	r = chip_translate(chip, "TPM2_StartAuthSession",
			  Esys_StartAuthSession(chip->esys, srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						ESYS_TR_NONE, NULL, type, &symmetric, TPM2_ALG_SHA256, &session));
	if (r < 0)
		return r;
	r = chip_translate(chip, "session attributes",
			  Esys_TRSess_SetAttributes(chip->esys, session, attributes | TPMA_SESSION_CONTINUESESSION,
						    0xff));
	if (r < 0) {
		chip_flush(chip, session);
		return r;
	}
	*ret = session;
	return 0;
}
