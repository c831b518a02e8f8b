/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements signed.h with TPM2_PolicyAuthorize: the session's policy, which must be the signed one, becomes "what this
 * key signs". PCR 15 comes after it, and so is in the sealed object's own policy.
 */
#define _GNU_SOURCE
#include "signed.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/sha256.h>

#include "chip.h"
#include "nv.h"
#include "policy.h"

#define TPM_POLICY_REF "gantry-disk-v1"

static const TPM2B_NONCE policy_ref = {.size = sizeof(TPM_POLICY_REF) - 1, .buffer = TPM_POLICY_REF};

static int load_key(struct chip *chip, const struct tpm_approval *approval, ESYS_TR *ret, TPM2B_NAME **ret_name)
{
	TPM2B_PUBLIC public = {
		.publicArea = {
			.type = TPM2_ALG_RSA,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_USERWITHAUTH,
			.parameters.rsaDetail = {
				.symmetric.algorithm = TPM2_ALG_NULL,
				.scheme.scheme = TPM2_ALG_NULL,
				.keyBits = TPM_RSA_SIZE * 8,
			},
			.unique.rsa.size = TPM_RSA_SIZE,
		},
	};
	ESYS_TR key = ESYS_TR_NONE;
	int r;

	memcpy(public.publicArea.unique.rsa.buffer, approval->modulus, TPM_RSA_SIZE);
	r = chip_translate(chip, "TPM2_LoadExternal",
			  Esys_LoadExternal(chip->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &public,
					    ESYS_TR_RH_OWNER, &key));
	if (r == 0)
		r = chip_translate(chip, "name of the policy key", Esys_TR_GetName(chip->esys, key, ret_name));
	if (r < 0)
		chip_flush(chip, key);
	else
		*ret = key;
	return r;
}

/* A trial session checks neither policy nor ticket. */
int signed_ask(struct chip *chip, ESYS_TR session, const struct tpm_approval *approval)
{
	static const TPM2B_DIGEST any;
	static const TPMT_TK_VERIFIED ticket = {.tag = TPM2_ST_VERIFIED, .hierarchy = TPM2_RH_OWNER};
	TPM2B_NAME *name = NULL;
	ESYS_TR key = ESYS_TR_NONE;
	int r;

	r = load_key(chip, approval, &key, &name);
	if (r == 0)
		r = chip_translate(chip, "TPM2_PolicyAuthorize",
				  Esys_PolicyAuthorize(chip->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						       &any, &policy_ref, name, &ticket));
	Esys_Free(name);
	chip_flush(chip, key);
	return r;
}

/* That the policy key has signed this policy; with the ticket that says so, and the key's name. */
static int verify(struct chip *chip, const struct tpm_approval *approval, TPMT_TK_VERIFIED **ret_ticket,
		  TPM2B_NAME **ret_name)
{
	TPM2B_DIGEST signed_digest = {.size = TPM_DIGEST_SIZE};
	TPMT_SIGNATURE signature = {
		.sigAlg = TPM2_ALG_RSASSA,
		.signature.rsassa = {.hash = TPM2_ALG_SHA256, .sig.size = TPM_RSA_SIZE},
	};
	uint8_t message[TPM_DIGEST_SIZE + sizeof(TPM_POLICY_REF) - 1];
	ESYS_TR key = ESYS_TR_NONE;
	int r;

	memcpy(signature.signature.rsassa.sig.buffer, approval->signature, TPM_RSA_SIZE);
	memcpy(message, approval->policy, TPM_DIGEST_SIZE);
	memcpy(message + TPM_DIGEST_SIZE, TPM_POLICY_REF, sizeof(TPM_POLICY_REF) - 1);
	if (mbedtls_sha256(message, sizeof(message), signed_digest.buffer, 0) != 0)
		return -EIO;
	r = load_key(chip, approval, &key, ret_name);
	if (r < 0)
		return r;
	r = chip_translate(chip, "TPM2_VerifySignature",
			  Esys_VerifySignature(chip->esys, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
					       &signed_digest, &signature, ret_ticket));
	chip_flush(chip, key);
	return r < 0 && r != -EAGAIN ?
	       chip_refuse(chip, -EKEYREJECTED,
			   "the signature of the policy does not verify with this image's policy key") : r;
}

/* The session's policy becomes the one that the key has signed, if it is that. */
static int authorize(struct chip *chip, ESYS_TR session, const struct tpm_approval *approval)
{
	TPM2B_DIGEST approved = {.size = TPM_DIGEST_SIZE};
	TPMT_TK_VERIFIED *ticket = NULL;
	TPM2B_NAME *name = NULL;
	int r;

	memcpy(approved.buffer, approval->policy, TPM_DIGEST_SIZE);
	r = verify(chip, approval, &ticket, &name);
	if (r == 0)
		r = chip_translate(chip, "TPM2_PolicyAuthorize",
				  Esys_PolicyAuthorize(chip->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						       &approved, &policy_ref, name, ticket));
	if (r == -EINVAL)
		r = chip_refuse(chip, -EKEYREJECTED, "the signed policy is for another image or version");
	Esys_Free(ticket);
	Esys_Free(name);
	return r;
}

/* The version's part of the policy: the counter may not be above it. A trial session does not compare. */
static int policy_counter(struct chip *chip, ESYS_TR session, uint32_t of_image)
{
	const uint64_t version = htobe64(of_image);
	TPM2B_OPERAND operand = {.size = sizeof(version)};
	ESYS_TR counter = ESYS_TR_NONE;
	int r;

	memcpy(operand.buffer, &version, sizeof(version));
	r = chip_translate(chip, "TPM2_NV_ReadPublic",
			  Esys_TR_FromTPMPublic(chip->esys, TPM_VERSION_NV, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						&counter));
	if (r == 0)
		r = chip_translate(chip, "TPM2_PolicyNV",
				  Esys_PolicyNV(chip->esys, counter, counter, session, ESYS_TR_PASSWORD, ESYS_TR_NONE,
						ESYS_TR_NONE, &operand, 0, TPM2_EO_UNSIGNED_LE));
	chip_forget(chip, counter);
	return r;
}

static int policy_version(struct chip *chip, ESYS_TR session, const struct tpm_approval *approval)
{
	uint64_t now;
	char text[96];
	int r;

	r = chip_counter_read(chip, TPM_VERSION_NV, &now);
	if (r == -ENOENT)
		return chip_refuse(chip, -EKEYREJECTED, "the TPM has no version counter");
	if (r < 0)
		return r;
	if (now > approval->version) {
		snprintf(text, sizeof(text), "version %u is older than version %llu, which ran here", approval->version,
			 (unsigned long long)now);
		return chip_refuse(chip, -EKEYREJECTED, text);
	}
	return policy_counter(chip, session, approval->version);
}

int signed_meet(struct chip *chip, ESYS_TR session, const struct tpm_approval *approval)
{
	int r = policy_pcr(chip, session, TPM_SIGNED_PCRS, NULL);

	if (r == 0)
		r = policy_version(chip, session, approval);
	return r == 0 ? authorize(chip, session, approval) : r;
}

int signed_this_image(struct chip *chip, const struct tpm_approval *approval, struct creation_image *ret)
{
	static const unsigned pcrs[] = {4, 9, 11};
	_Static_assert(TPM_SIGNED_PCRS == (1u << 4 | 1u << 9 | 1u << 11), "in the order of their digest");
	const uint32_t version = approval ? htobe32(approval->version) : 0;

	if (!approval || !approval->is_signed)
		return 0;
	for (size_t i = 0; i < sizeof(pcrs) / sizeof(pcrs[0]); i++) {
		int r = chip_pcr_read(chip, pcrs[i], ret->values + i * TPM_DIGEST_SIZE);

		if (r < 0)
			return r;
	}
	memcpy(ret->version, &version, sizeof(ret->version));
	memcpy(ret->signature, approval->signature, sizeof(ret->signature));
	return 1;
}

/* What an image's signed policy asks for. */
struct image_policy {
	TPM2B_DIGEST values;
	uint32_t version;
};

static int ask_image(struct chip *chip, ESYS_TR session, const void *of)
{
	const struct image_policy *policy = of;
	int r = policy_pcr(chip, session, TPM_SIGNED_PCRS, &policy->values);

	return r == 0 ? policy_counter(chip, session, policy->version) : r;
}

int signed_values(struct chip *chip, ESYS_TR srk, const struct tpm_approval *own, const struct creation_image *image,
		  TPM2B_DIGEST *ret)
{
	uint8_t values[sizeof(image->values) + TPM_DIGEST_SIZE] = {0};	/* and PCR 15 as zeros */
	struct tpm_approval approval = {.is_signed = 1};
	TPMT_TK_VERIFIED *ticket = NULL;
	TPM2B_NAME *name = NULL;
	struct image_policy policy;
	TPM2B_DIGEST digest;
	uint32_t version;
	int r;

	memcpy(values, image->values, sizeof(image->values));
	memcpy(&version, image->version, sizeof(version));
	memcpy(approval.modulus, own->modulus, sizeof(approval.modulus));
	memcpy(approval.signature, image->signature, sizeof(approval.signature));
	policy.version = be32toh(version);
	r = policy_digest_values(values, sizeof(image->values), &policy.values);
	if (r == 0)
		r = policy_trial(chip, srk, ask_image, &policy, &digest);
	if (r < 0)
		return r;
	memcpy(approval.policy, digest.buffer, sizeof(approval.policy));
	r = verify(chip, &approval, &ticket, &name);
	Esys_Free(ticket);
	Esys_Free(name);
	if (r == -EKEYREJECTED)
		return chip_refuse(chip, r, "another image sealed the key: "
				   "its policy is not signed by this image's policy key");
	return r < 0 ? r : policy_digest_values(values, sizeof(values), ret);
}
