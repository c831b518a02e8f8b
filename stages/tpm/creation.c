/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ticket is an HMAC by a secret of the TPM's owner hierarchy over the object's name and the digest of its creation
 * data (TCG TPM 2.0 library part 2, section 10.7.3). It survives a restart of the TPM, but not TPM2_Clear. Without a
 * signing key the certificate itself proves nothing; the session does, which only the TPM with this storage root key
 * can answer.
 */
#define _GNU_SOURCE
#include "creation.h"

#include <errno.h>
#include <string.h>

#include <mbedtls/sha256.h>
#include <tss2/tss2_mu.h>

#define NAMES "gantry-volume-v1"

int creation_names(const char uuid[TPM_VOLUME_MAX], const void *bytes, size_t size, TPM2B_DATA *ret)
{
	uint8_t text[sizeof(NAMES) + TPM_VOLUME_MAX + TPM_DIGEST_SIZE] = NAMES;

	strncpy((char *)text + sizeof(NAMES), uuid, TPM_VOLUME_MAX);
	if (mbedtls_sha256(bytes, size, text + sizeof(NAMES) + TPM_VOLUME_MAX, 0) != 0)
		return -EIO;
	ret->size = TPM_DIGEST_SIZE;
	return mbedtls_sha256(text, sizeof(text), ret->buffer, 0) == 0 ? 0 : -EIO;
}

int creation_pack(struct chip *chip, const TPM2B_CREATION_DATA *data, const TPMT_TK_CREATION *ticket,
		  const struct creation_image *image, struct tpm_creation *ret)
{
	struct tpm_creation creation = {.size = 0};
	int r;

	r = chip_translate(chip, "creation data",
			   Tss2_MU_TPM2B_CREATION_DATA_Marshal(data, creation.bytes, sizeof(creation.bytes),
							       &creation.size));
	if (r == 0)
		r = chip_translate(chip, "creation ticket",
				   Tss2_MU_TPMT_TK_CREATION_Marshal(ticket, creation.bytes, sizeof(creation.bytes),
								    &creation.size));
	if (r == 0 && image && creation.size > sizeof(creation.bytes) - sizeof(*image))
		r = chip_refuse(chip, -EFBIG, "creation data are larger than expected");
	if (r == 0 && image) {
		memcpy(creation.bytes + creation.size, image, sizeof(*image));
		creation.size += sizeof(*image);
	}
	if (r == 0)
		*ret = creation;
	return r;
}

/* Where the ticket ends, or 0. */
static size_t unmarshal(const struct tpm_creation *creation, TPM2B_CREATION_DATA *data, TPMT_TK_CREATION *ticket)
{
	size_t at = 0;

	return creation->size <= sizeof(creation->bytes) &&
	       Tss2_MU_TPM2B_CREATION_DATA_Unmarshal(creation->bytes, creation->size, &at, data) == TSS2_RC_SUCCESS &&
	       Tss2_MU_TPMT_TK_CREATION_Unmarshal(creation->bytes, creation->size, &at, ticket) == TSS2_RC_SUCCESS ?
	       at : 0;
}

int creation_image(const struct tpm_creation *creation, struct creation_image *ret)
{
	TPM2B_CREATION_DATA data = {.size = 0};
	TPMT_TK_CREATION ticket = {.tag = 0};
	size_t at = unmarshal(creation, &data, &ticket);

	if (at == 0 || creation->size - at != sizeof(*ret))
		return 0;
	memcpy(ret, creation->bytes + at, sizeof(*ret));
	return 1;
}

/* They come from the disk, so they are hostile. */
static int unpack(struct chip *chip, const struct tpm_creation *creation, TPM2B_CREATION_DATA *data,
		  TPMT_TK_CREATION *ticket)
{
	size_t at;

	if (creation->size == 0)
		return chip_refuse(chip, -EKEYREJECTED, "which image sealed the key is not known: no creation data");
	at = unmarshal(creation, data, ticket);
	if (at == 0 || (at != creation->size && creation->size - at != sizeof(struct creation_image)))
		return chip_refuse(chip, -EKEYREJECTED, "creation data are malformed");
	return 0;
}

static int digest_of(const TPMS_CREATION_DATA *data, TPM2B_DIGEST *ret)
{
	uint8_t bytes[TPM_CREATION_MAX];
	size_t size = 0;

	ret->size = TPM_DIGEST_SIZE;
	if (Tss2_MU_TPMS_CREATION_DATA_Marshal(data, bytes, sizeof(bytes), &size) != TSS2_RC_SUCCESS ||
	    mbedtls_sha256(bytes, size, ret->buffer, 0) != 0)
		return -EIO;
	return 0;
}

static bool same(const void *a, size_t a_size, const void *b, size_t b_size)
{
	return a_size == b_size && memcmp(a, b, a_size) == 0;
}

/* That the TPM attests to this object and these creation data, and to nothing else. */
static bool attests(const TPM2B_ATTEST *certificate, const TPM2B_NAME *object, const TPM2B_DIGEST *digest)
{
	const TPMS_CREATION_INFO *info;
	TPMS_ATTEST attest;
	size_t at = 0;

	if (Tss2_MU_TPMS_ATTEST_Unmarshal(certificate->attestationData, certificate->size, &at, &attest) !=
	    TSS2_RC_SUCCESS || attest.magic != TPM2_GENERATED_VALUE || attest.type != TPM2_ST_ATTEST_CREATION)
		return false;
	info = &attest.attested.creation;
	return same(info->objectName.name, info->objectName.size, object->name, object->size) &&
	       same(info->creationHash.buffer, info->creationHash.size, digest->buffer, digest->size);
}

static int certify(struct chip *chip, const struct creation_wanted *wanted, const TPMS_CREATION_DATA *data,
		   const TPMT_TK_CREATION *ticket)
{
	static const TPMT_SIG_SCHEME no_scheme = {.scheme = TPM2_ALG_NULL};
	static const TPM2B_DATA nothing;
	ESYS_TR session = ESYS_TR_NONE;
	TPMT_SIGNATURE *signature = NULL;
	TPM2B_ATTEST *certificate = NULL;
	TPM2B_NAME *name = NULL;
	TPM2B_DIGEST digest;
	int r = digest_of(data, &digest);

	if (r == 0)
		r = chip_session_start(chip, wanted->srk, TPM2_SE_HMAC, TPMA_SESSION_ENCRYPT, &session);
	if (r == 0)
		r = chip_translate(chip, "TPM2_CertifyCreation",
				   Esys_CertifyCreation(chip->esys, ESYS_TR_RH_NULL, wanted->object, session,
							ESYS_TR_NONE, ESYS_TR_NONE, &nothing, &digest, &no_scheme,
							ticket, &certificate, &signature));
	chip_flush(chip, session);
	if (r < 0 && r != -EAGAIN && session != ESYS_TR_NONE)
		r = chip_refuse(chip, -EKEYREJECTED, "this TPM has not created the key with these creation data");
	if (r == 0)
		r = chip_translate(chip, "name of the sealed key", Esys_TR_GetName(chip->esys, wanted->object, &name));
	if (r == 0 && !attests(certificate, name, &digest))
		r = chip_refuse(chip, -EKEYREJECTED, "TPM2_CertifyCreation: certificate of another object");
	Esys_Free(name);
	Esys_Free(signature);
	Esys_Free(certificate);
	return r;
}

static bool selects_exactly(const TPML_PCR_SELECTION *selection, uint32_t pcrs)
{
	const TPMS_PCR_SELECTION *one = &selection->pcrSelections[0];
	uint32_t selected = 0;

	if (selection->count != 1 || one->hash != TPM2_ALG_SHA256 || one->sizeofSelect > sizeof(one->pcrSelect))
		return false;
	for (unsigned i = 0; i < one->sizeofSelect; i++)
		selected |= (uint32_t)one->pcrSelect[i] << 8 * i;
	return selected == pcrs;
}

static int check_data(struct chip *chip, const struct creation_wanted *wanted, const TPMS_CREATION_DATA *data)
{
	TPM2B_NAME *parent = NULL;
	int r;

	if (!selects_exactly(&data->pcrSelect, wanted->pcrs))
		return chip_refuse(chip, -EKEYREJECTED, "creation data of the key are about other PCRs");
	if (!same(data->pcrDigest.buffer, data->pcrDigest.size, wanted->values.buffer, wanted->values.size))
		return chip_refuse(chip, -EKEYREJECTED, "another image sealed the key: "
				   "the PCR values at its creation are not this image's");
	r = chip_translate(chip, "name of the storage root key", Esys_TR_GetName(chip->esys, wanted->srk, &parent));
	if (r == 0 && !same(data->parentName.name, data->parentName.size, parent->name, parent->size))
		r = chip_refuse(chip, -EKEYREJECTED, "the key was not created under the storage root key");
	Esys_Free(parent);
	return r;
}

int creation_check(struct chip *chip, const struct tpm_creation *creation, const struct creation_wanted *wanted,
		   TPM2B_DATA *ret_names)
{
	TPM2B_CREATION_DATA data = {.size = 0};
	TPMT_TK_CREATION ticket = {.tag = 0};
	int r;

	r = unpack(chip, creation, &data, &ticket);
	if (r == 0)
		r = certify(chip, wanted, &data.creationData, &ticket);
	if (r == 0)
		r = check_data(chip, wanted, &data.creationData);
	if (r == 0)
		*ret_names = data.creationData.outsideInfo;
	return r;
}
