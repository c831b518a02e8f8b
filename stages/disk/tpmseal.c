/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sealed object has no password: its policy is the only way in, and it does not count for the TPM's lockout
 * (NODA), so that a wrong image cannot lock out the right one. The PCR values to seal to are read once and go into the
 * policy as values, PCR 15 as zeros; so nothing that changes meanwhile can get in. To unseal, TPM2_PolicyPCR takes the
 * values as they are, and every try makes all its sessions anew.
 */
#define _GNU_SOURCE
#include "tpmseal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/sha256.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include "stages/lib/tpmesys.h"
#include "stages/lib/tpmnv.h"

#define SEALED_ATTRIBUTES (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA)
#define CLOSE_BIT         (1u << TPM_PCR_CLOSE)

static const TPM2B_NONCE policy_ref = {.size = sizeof(TPM_POLICY_REF) - 1, .buffer = TPM_POLICY_REF};

static bool is_zero(const uint8_t *bytes, size_t size)
{
	uint8_t any = 0;

	for (size_t i = 0; i < size; i++)
		any |= bytes[i];
	return any == 0;
}

/* The digest over the PCRs' values, as TPM2_PolicyPCR wants it: PCR 15 as zeros, the others as they are now. */
static int values_digest(struct tpm *tpm, uint32_t pcrs, TPM2B_DIGEST *ret)
{
	uint8_t values[24 * TPM_DIGEST_SIZE];
	size_t used = 0;

	for (unsigned i = 0; i < 24; i++) {
		int r;

		if (!(pcrs & 1u << i))
			continue;
		r = tpm_pcr_read(tpm, i, values + used);
		if (r < 0)
			return r;
		if (i == TPM_PCR_CLOSE && !is_zero(values + used, TPM_DIGEST_SIZE))
			return tpm_refuse(tpm, -EKEYREJECTED, "PCR 15 has been extended in this boot");
		used += TPM_DIGEST_SIZE;
	}
	ret->size = TPM_DIGEST_SIZE;
	return mbedtls_sha256(values, used, ret->buffer, 0) == 0 ? 0 : -EIO;
}

/* digest NULL: the values as they are now. */
static int policy_pcr(struct tpm *tpm, ESYS_TR session, uint32_t pcrs, const TPM2B_DIGEST *digest)
{
	static const TPM2B_DIGEST current;
	TPML_PCR_SELECTION selection = tpm_selection_of(pcrs);

	return tpm_translate(tpm, "TPM2_PolicyPCR",
			     Esys_PolicyPCR(tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
					    digest ? digest : &current, &selection));
}

static int load_key(struct tpm *tpm, const struct tpm_approval *approval, ESYS_TR *ret, TPM2B_NAME **ret_name)
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
	r = tpm_translate(tpm, "TPM2_LoadExternal",
			  Esys_LoadExternal(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &public,
					    ESYS_TR_RH_OWNER, &key));
	if (r == 0)
		r = tpm_translate(tpm, "name of the policy key", Esys_TR_GetName(tpm->esys, key, ret_name));
	if (r < 0)
		tpm_flush(tpm, key);
	else
		*ret = key;
	return r;
}

/* PolicyAuthorize for the sealed object: a trial session checks neither policy nor ticket. */
static int trial_authorize(struct tpm *tpm, ESYS_TR session, const struct tpm_approval *approval)
{
	static const TPM2B_DIGEST any;
	static const TPMT_TK_VERIFIED ticket = {.tag = TPM2_ST_VERIFIED, .hierarchy = TPM2_RH_OWNER};
	TPM2B_NAME *name = NULL;
	ESYS_TR key = ESYS_TR_NONE;
	int r;

	r = load_key(tpm, approval, &key, &name);
	if (r == 0)
		r = tpm_translate(tpm, "TPM2_PolicyAuthorize",
				  Esys_PolicyAuthorize(tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						       &any, &policy_ref, name, &ticket));
	Esys_Free(name);
	tpm_flush(tpm, key);
	return r;
}

static int sealing_policy(struct tpm *tpm, ESYS_TR srk, const struct tpm_policy *policy, TPM2B_DIGEST *ret)
{
	uint32_t pcrs = policy->approval ? CLOSE_BIT : policy->pcrs;
	ESYS_TR session = ESYS_TR_NONE;
	TPM2B_DIGEST *digest = NULL;
	TPM2B_DIGEST values;
	int r;

	r = values_digest(tpm, pcrs, &values);
	if (r == 0)
		r = tpm_session_start(tpm, srk, TPM2_SE_TRIAL, 0, &session);
	if (r == 0 && policy->approval)
		r = trial_authorize(tpm, session, policy->approval);
	if (r == 0)
		r = policy_pcr(tpm, session, pcrs, &values);
	if (r == 0)
		r = tpm_translate(tpm, "TPM2_PolicyGetDigest",
				  Esys_PolicyGetDigest(tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						       &digest));
	tpm_flush(tpm, session);
	if (r == 0)
		*ret = *digest;
	Esys_Free(digest);
	return r;
}

static int blob_pack(struct tpm *tpm, const TPM2B_PRIVATE *private, const TPM2B_PUBLIC *public,
		     struct tpm_blob *ret)
{
	struct tpm_blob blob = {.size = 0};
	int r;

	r = tpm_translate(tpm, "blob",
			  Tss2_MU_TPM2B_PRIVATE_Marshal(private, blob.bytes, sizeof(blob.bytes), &blob.size));
	if (r == 0)
		r = tpm_translate(tpm, "blob",
				  Tss2_MU_TPM2B_PUBLIC_Marshal(public, blob.bytes, sizeof(blob.bytes), &blob.size));
	if (r == 0)
		*ret = blob;
	return r;
}

/* The blob comes from the disk, so it is hostile: it must be the kind of object that tpm_seal() makes. */
static int blob_unpack(struct tpm *tpm, const struct tpm_blob *blob, TPM2B_PRIVATE *private, TPM2B_PUBLIC *public)
{
	size_t at = 0;

	if (blob->size > sizeof(blob->bytes) ||
	    Tss2_MU_TPM2B_PRIVATE_Unmarshal(blob->bytes, blob->size, &at, private) != TSS2_RC_SUCCESS ||
	    Tss2_MU_TPM2B_PUBLIC_Unmarshal(blob->bytes, blob->size, &at, public) != TSS2_RC_SUCCESS ||
	    at != blob->size)
		return tpm_refuse(tpm, -EBADMSG, "sealed blob is malformed");
	if (public->publicArea.type != TPM2_ALG_KEYEDHASH || public->publicArea.nameAlg != TPM2_ALG_SHA256 ||
	    public->publicArea.objectAttributes != SEALED_ATTRIBUTES ||
	    public->publicArea.authPolicy.size != TPM_DIGEST_SIZE ||
	    public->publicArea.parameters.keyedHashDetail.scheme.scheme != TPM2_ALG_NULL)
		return tpm_refuse(tpm, -EBADMSG, "sealed blob is of an unexpected type");
	return 0;
}

static int seal_once(struct tpm *tpm, ESYS_TR srk, const struct tpm_policy *policy, const void *bytes, size_t size,
		     struct tpm_blob *ret, uint8_t ret_digest[TPM_DIGEST_SIZE])
{
	static const TPM2B_DATA outside;
	static const TPML_PCR_SELECTION none;
	TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.data.size = (uint16_t)size};
	TPM2B_PUBLIC template = {
		.publicArea = {
			.type = TPM2_ALG_KEYEDHASH,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = SEALED_ATTRIBUTES,
			.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
		},
	};
	TPM2B_PRIVATE *private = NULL;
	TPM2B_PUBLIC *public = NULL;
	ESYS_TR session = ESYS_TR_NONE;
	int r;

	r = sealing_policy(tpm, srk, policy, &template.publicArea.authPolicy);
	if (r < 0)
		return r;
	r = tpm_session_start(tpm, srk, TPM2_SE_HMAC, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT, &session);
	if (r < 0)
		return r;
	memcpy(sensitive.sensitive.data.buffer, bytes, size);
	r = tpm_translate(tpm, "TPM2_Create",
			  Esys_Create(tpm->esys, srk, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template,
				      &outside, &none, &private, &public, NULL, NULL, NULL));
	explicit_bzero(&sensitive, sizeof(sensitive));
	tpm_flush(tpm, session);
	if (r == 0)
		r = blob_pack(tpm, private, public, ret);
	if (r == 0)
		memcpy(ret_digest, template.publicArea.authPolicy.buffer, TPM_DIGEST_SIZE);
	Esys_Free(private);
	Esys_Free(public);
	return r;
}

int tpm_seal(struct tpm *tpm, const struct tpm_policy *policy, const void *bytes, size_t size, struct tpm_blob *ret,
	     uint8_t ret_digest[TPM_DIGEST_SIZE])
{
	ESYS_TR srk = ESYS_TR_NONE;
	int r;

	if (size == 0 || size > TPM_SEAL_MAX || (!policy->approval && (policy->pcrs == 0 || policy->pcrs >> 24)))
		return tpm_refuse(tpm, -EINVAL, "data or policy cannot be sealed");
	r = tpm_srk_open(tpm, &srk);
	if (r == 0 && policy->approval)
		r = tpm_counter_raise(tpm, TPM_VERSION_NV, policy->approval->version);
	if (r == 0)
		r = seal_once(tpm, srk, policy, bytes, size, ret, ret_digest);
	for (unsigned i = 1; r == -EAGAIN && i < TPM_TRIES_MAX; i++)
		r = seal_once(tpm, srk, policy, bytes, size, ret, ret_digest);
	tpm_forget(tpm, srk);
	return r;
}

/* The session's policy becomes the one that the key has signed, if it is that. */
static int authorize(struct tpm *tpm, ESYS_TR session, const struct tpm_approval *approval)
{
	TPM2B_DIGEST approved = {.size = TPM_DIGEST_SIZE}, signed_digest = {.size = TPM_DIGEST_SIZE};
	TPMT_SIGNATURE signature = {
		.sigAlg = TPM2_ALG_RSASSA,
		.signature.rsassa = {.hash = TPM2_ALG_SHA256, .sig.size = TPM_RSA_SIZE},
	};
	uint8_t message[TPM_DIGEST_SIZE + sizeof(TPM_POLICY_REF) - 1];
	TPMT_TK_VERIFIED *ticket = NULL;
	TPM2B_NAME *name = NULL;
	ESYS_TR key = ESYS_TR_NONE;
	int r;

	memcpy(approved.buffer, approval->policy, TPM_DIGEST_SIZE);
	memcpy(signature.signature.rsassa.sig.buffer, approval->signature, TPM_RSA_SIZE);
	memcpy(message, approval->policy, TPM_DIGEST_SIZE);
	memcpy(message + TPM_DIGEST_SIZE, TPM_POLICY_REF, sizeof(TPM_POLICY_REF) - 1);
	if (mbedtls_sha256(message, sizeof(message), signed_digest.buffer, 0) != 0)
		return -EIO;
	r = load_key(tpm, approval, &key, &name);
	if (r < 0)
		return r;
	r = tpm_translate(tpm, "TPM2_VerifySignature",
			  Esys_VerifySignature(tpm->esys, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
					       &signed_digest, &signature, &ticket));
	if (r < 0 && r != -EAGAIN) {
		r = tpm_refuse(tpm, -EKEYREJECTED,
			       "the signature of the policy does not verify with this image's policy key");
	} else if (r == 0) {
		r = tpm_translate(tpm, "TPM2_PolicyAuthorize",
				  Esys_PolicyAuthorize(tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						       &approved, &policy_ref, name, ticket));
		if (r == -EINVAL)
			r = tpm_refuse(tpm, -EKEYREJECTED, "the signed policy is for another image or version");
	}
	Esys_Free(ticket);
	Esys_Free(name);
	tpm_flush(tpm, key);
	return r;
}

/* The version's part of the policy: the counter may not be above it. */
static int policy_version(struct tpm *tpm, ESYS_TR session, const struct tpm_approval *approval)
{
	const uint64_t version = htobe64(approval->version);
	TPM2B_OPERAND operand = {.size = sizeof(version)};
	ESYS_TR counter = ESYS_TR_NONE;
	uint64_t now;
	char text[96];
	int r;

	r = tpm_counter_read(tpm, TPM_VERSION_NV, &now);
	if (r == -ENOENT)
		return tpm_refuse(tpm, -EKEYREJECTED, "the TPM has no version counter");
	if (r < 0)
		return r;
	if (now > approval->version) {
		snprintf(text, sizeof(text), "version %u is older than version %llu, which ran here", approval->version,
			 (unsigned long long)now);
		return tpm_refuse(tpm, -EKEYREJECTED, text);
	}
	memcpy(operand.buffer, &version, sizeof(version));
	r = tpm_translate(tpm, "TPM2_NV_ReadPublic",
			  Esys_TR_FromTPMPublic(tpm->esys, TPM_VERSION_NV, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						&counter));
	if (r == 0)
		r = tpm_translate(tpm, "TPM2_PolicyNV",
				  Esys_PolicyNV(tpm->esys, counter, counter, session, ESYS_TR_PASSWORD, ESYS_TR_NONE,
						ESYS_TR_NONE, &operand, 0, TPM2_EO_UNSIGNED_LE));
	tpm_forget(tpm, counter);
	return r;
}

static int meet_policy(struct tpm *tpm, ESYS_TR session, const struct tpm_policy *policy)
{
	int r;

	if (!policy->approval)
		return policy_pcr(tpm, session, policy->pcrs, NULL);
	r = policy_pcr(tpm, session, TPM_SIGNED_PCRS, NULL);
	if (r == 0)
		r = policy_version(tpm, session, policy->approval);
	if (r == 0)
		r = authorize(tpm, session, policy->approval);
	return r == 0 ? policy_pcr(tpm, session, CLOSE_BIT, NULL) : r;
}

static int unseal_object(struct tpm *tpm, ESYS_TR srk, const struct tpm_policy *policy, ESYS_TR object,
			 struct secret *ret)
{
	TPM2B_SENSITIVE_DATA *plain = NULL;
	ESYS_TR session = ESYS_TR_NONE;
	int r;

	r = tpm_session_start(tpm, srk, TPM2_SE_POLICY, TPMA_SESSION_ENCRYPT, &session);
	if (r < 0)
		return r;
	r = meet_policy(tpm, session, policy);
	if (r == 0)
		r = tpm_translate(tpm, "TPM2_Unseal",
				  Esys_Unseal(tpm->esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, &plain));
	tpm_flush(tpm, session);
	if (r == 0)
		r = secret_copy(plain->buffer, plain->size, ret);
	tpm_wipe_free(plain, sizeof(*plain));
	return r;
}

static int unseal_once(struct tpm *tpm, ESYS_TR srk, const struct tpm_policy *policy, const TPM2B_PRIVATE *private,
		       const TPM2B_PUBLIC *public, struct secret *ret)
{
	ESYS_TR object = ESYS_TR_NONE;
	int r;

	r = tpm_translate(tpm, "TPM2_Load",
			  Esys_Load(tpm->esys, srk, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, private, public,
				    &object));
	if (r < 0)
		return r;
	r = unseal_object(tpm, srk, policy, object, ret);
	tpm_flush(tpm, object);
	return r;
}

/* Of all the reasons for a refusal this one is not the image's or the disk's fault. */
static int explain_refusal(struct tpm *tpm)
{
	uint8_t value[TPM_DIGEST_SIZE];
	char before[sizeof(tpm->reason)];

	memcpy(before, tpm->reason, sizeof(before));
	if (tpm_pcr_read(tpm, TPM_PCR_CLOSE, value) == 0 && !is_zero(value, sizeof(value)))
		return tpm_refuse(tpm, -EKEYREJECTED, "PCR 15 has been extended in this boot");
	return tpm_refuse(tpm, -EKEYREJECTED, before);
}

int tpm_unseal(struct tpm *tpm, const struct tpm_policy *policy, const struct tpm_blob *blob, struct secret *ret)
{
	TPM2B_PRIVATE private = {.size = 0};
	TPM2B_PUBLIC public = {.size = 0};
	ESYS_TR srk = ESYS_TR_NONE;
	int r;

	if (policy->approval && !policy->approval->is_signed)
		return tpm_refuse(tpm, -EKEYREJECTED, "this image has no signed policy");
	r = blob_unpack(tpm, blob, &private, &public);
	if (r < 0)
		return r;
	r = tpm_srk_open(tpm, &srk);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < TPM_TRIES_MAX; i++) {
		r = unseal_once(tpm, srk, policy, &private, &public, ret);
		if (r != -EAGAIN)
			break;
	}
	tpm_forget(tpm, srk);
	return r == -EKEYREJECTED ? explain_refusal(tpm) : r;
}

int tpm_srk_serialize(struct tpm *tpm, uint8_t **ret_bytes, size_t *ret_size, bool *ret_is_rsa)
{
	ESYS_TR srk = ESYS_TR_NONE;
	TPM2B_PUBLIC *public = NULL;
	uint8_t *bytes = NULL, *copy;
	size_t size = 0;
	int r;

	r = tpm_srk_open(tpm, &srk);
	if (r < 0)
		return r;
	r = tpm_translate(tpm, "TPM2_ReadPublic of the storage root key",
			  Esys_ReadPublic(tpm->esys, srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public, NULL,
					  NULL));
	if (r == 0)
		r = tpm_translate(tpm, "storage root key", Esys_TR_Serialize(tpm->esys, srk, &bytes, &size));
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
	tpm_forget(tpm, srk);
	return r;
}
