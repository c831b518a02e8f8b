/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sealed object has no password: its policy is the only way in, and it does not count for the TPM's lockout
 * (NODA), so that a wrong image cannot lock out the right one. The PCR values to seal to are read once and go into the
 * policy as values, PCR 15 as zeros; so nothing that changes meanwhile can get in. To unseal, TPM2_PolicyPCR takes the
 * values as they are, and every try makes all its sessions anew.
 */
#define _GNU_SOURCE
#include "seal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/sha256.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include "creation.h"
#include "esys.h"
#include "nv.h"

#define SEALED_ATTRIBUTES (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA)
#define CLOSE_BIT         (1u << TPM_PCR_CLOSE)

static const TPM2B_NONCE policy_ref = {.size = sizeof(TPM_POLICY_REF) - 1, .buffer = TPM_POLICY_REF};

/* Is nothing unsealed by it any more once PCR 15 was extended? */
static bool is_bound(const struct tpm_policy *policy)
{
	return policy->approval || policy->pcrs & CLOSE_BIT;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	uint8_t any = 0;

	for (size_t i = 0; i < size; i++)
		any |= bytes[i];
	return any == 0;
}

static int digest_values(const uint8_t *values, size_t size, TPM2B_DIGEST *ret)
{
	ret->size = TPM_DIGEST_SIZE;
	return mbedtls_sha256(values, size, ret->buffer, 0) == 0 ? 0 : -EIO;
}

/* How PCR 15 counts in a digest. */
enum close_pcr {
	CLOSE_MUST_BE_ZERO,	/* else -EKEYREJECTED */
	CLOSE_AS_ZERO,
	CLOSE_AS_IT_IS,
};

/* The digest over the PCRs' values, as TPM2_PolicyPCR wants it. */
static int values_digest(struct chip *chip, uint32_t pcrs, enum close_pcr how, TPM2B_DIGEST *ret)
{
	uint8_t values[24 * TPM_DIGEST_SIZE];
	size_t used = 0;

	for (unsigned i = 0; i < 24; i++) {
		int r;

		if (!(pcrs & 1u << i))
			continue;
		r = chip_pcr_read(chip, i, values + used);
		if (r < 0)
			return r;
		if (i == TPM_PCR_CLOSE && how == CLOSE_AS_ZERO)
			memset(values + used, 0, TPM_DIGEST_SIZE);
		if (i == TPM_PCR_CLOSE && how == CLOSE_MUST_BE_ZERO && !is_zero(values + used, TPM_DIGEST_SIZE))
			return chip_refuse(chip, -EKEYREJECTED, "PCR 15 has been extended in this boot");
		used += TPM_DIGEST_SIZE;
	}
	return digest_values(values, used, ret);
}

/* digest NULL: the values as they are now. */
static int policy_pcr(struct chip *chip, ESYS_TR session, uint32_t pcrs, const TPM2B_DIGEST *digest)
{
	static const TPM2B_DIGEST current;
	TPML_PCR_SELECTION selection = chip_selection_of(pcrs);

	return chip_translate(chip, "TPM2_PolicyPCR",
			     Esys_PolicyPCR(chip->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
					    digest ? digest : &current, &selection));
}

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

/* PolicyAuthorize for the sealed object: a trial session checks neither policy nor ticket. */
static int trial_authorize(struct chip *chip, ESYS_TR session, const struct tpm_approval *approval)
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

static int sealing_policy(struct chip *chip, ESYS_TR srk, const struct tpm_policy *policy, TPM2B_DIGEST *ret)
{
	uint32_t pcrs = policy->approval ? CLOSE_BIT : policy->pcrs;
	ESYS_TR session = ESYS_TR_NONE;
	TPM2B_DIGEST *digest = NULL;
	TPM2B_DIGEST values;
	int r;

	r = values_digest(chip, pcrs, CLOSE_MUST_BE_ZERO, &values);
	if (r == 0)
		r = chip_session_start(chip, srk, TPM2_SE_TRIAL, 0, &session);
	if (r == 0 && policy->approval)
		r = trial_authorize(chip, session, policy->approval);
	if (r == 0)
		r = policy_pcr(chip, session, pcrs, &values);
	if (r == 0)
		r = chip_translate(chip, "TPM2_PolicyGetDigest",
				  Esys_PolicyGetDigest(chip->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						       &digest));
	chip_flush(chip, session);
	if (r == 0)
		*ret = *digest;
	Esys_Free(digest);
	return r;
}

static int blob_pack(struct chip *chip, const TPM2B_PRIVATE *private, const TPM2B_PUBLIC *public,
		     struct tpm_blob *ret)
{
	struct tpm_blob blob = {.size = 0};
	int r;

	r = chip_translate(chip, "blob",
			  Tss2_MU_TPM2B_PRIVATE_Marshal(private, blob.bytes, sizeof(blob.bytes), &blob.size));
	if (r == 0)
		r = chip_translate(chip, "blob",
				  Tss2_MU_TPM2B_PUBLIC_Marshal(public, blob.bytes, sizeof(blob.bytes), &blob.size));
	if (r == 0)
		*ret = blob;
	return r;
}

/* The blob comes from the disk, so it is hostile: it must be the kind of object that chip_seal() makes. */
static int blob_unpack(struct chip *chip, const struct tpm_blob *blob, TPM2B_PRIVATE *private, TPM2B_PUBLIC *public)
{
	size_t at = 0;

	if (blob->size > sizeof(blob->bytes) ||
	    Tss2_MU_TPM2B_PRIVATE_Unmarshal(blob->bytes, blob->size, &at, private) != TSS2_RC_SUCCESS ||
	    Tss2_MU_TPM2B_PUBLIC_Unmarshal(blob->bytes, blob->size, &at, public) != TSS2_RC_SUCCESS ||
	    at != blob->size)
		return chip_refuse(chip, -EBADMSG, "sealed blob is malformed");
	if (public->publicArea.type != TPM2_ALG_KEYEDHASH || public->publicArea.nameAlg != TPM2_ALG_SHA256 ||
	    public->publicArea.objectAttributes != SEALED_ATTRIBUTES ||
	    public->publicArea.authPolicy.size != TPM_DIGEST_SIZE ||
	    public->publicArea.parameters.keyedHashDetail.scheme.scheme != TPM2_ALG_NULL)
		return chip_refuse(chip, -EBADMSG, "sealed blob is of an unexpected type");
	return 0;
}

/* What is sealed, and what the key's creation data are to say about it. */
struct sealing {
	const struct tpm_policy *policy;
	const void *bytes;
	size_t size;
	TPM2B_DATA names;
};

/* The PCRs that tell which image makes a key: those that it is sealed to, and that no disk is open yet. */
static uint32_t creation_pcrs(const struct tpm_policy *policy)
{
	return (policy->approval ? TPM_SIGNED_PCRS : policy->pcrs) | CLOSE_BIT;
}

/* What a later image needs to know of this one: 1, or 0 if this one is not signed. */
static int this_image(struct chip *chip, const struct tpm_approval *approval, struct creation_image *ret)
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

static int seal_once(struct chip *chip, ESYS_TR srk, const struct sealing *sealing, struct tpm_sealed *ret,
		     uint8_t ret_digest[TPM_DIGEST_SIZE])
{
	const TPML_PCR_SELECTION selection = chip_selection_of(creation_pcrs(sealing->policy));
	struct creation_image image;
	TPM2B_CREATION_DATA *data = NULL;
	TPMT_TK_CREATION *ticket = NULL;
	int is_signed = 0;
	TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.data.size = (uint16_t)sealing->size};
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

	r = sealing_policy(chip, srk, sealing->policy, &template.publicArea.authPolicy);
	if (r < 0)
		return r;
	r = chip_session_start(chip, srk, TPM2_SE_HMAC, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT, &session);
	if (r < 0)
		return r;
	memcpy(sensitive.sensitive.data.buffer, sealing->bytes, sealing->size);
	r = chip_translate(chip, "TPM2_Create",
			  Esys_Create(chip->esys, srk, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template,
				      &sealing->names, &selection, &private, &public, &data, NULL, &ticket));
	explicit_bzero(&sensitive, sizeof(sensitive));
	chip_flush(chip, session);
	if (r == 0)
		r = blob_pack(chip, private, public, &ret->blob);
	if (r == 0)
		is_signed = r = this_image(chip, sealing->policy->approval, &image);
	if (r >= 0)
		r = creation_pack(chip, data, ticket, is_signed ? &image : NULL, &ret->creation);
	if (r == 0)
		memcpy(ret_digest, template.publicArea.authPolicy.buffer, TPM_DIGEST_SIZE);
	Esys_Free(private);
	Esys_Free(public);
	Esys_Free(data);
	Esys_Free(ticket);
	return r;
}

int chip_seal(struct chip *chip, const struct tpm_policy *policy, const char uuid[TPM_VOLUME_MAX], const void *bytes,
	      size_t size, struct tpm_sealed *ret, uint8_t ret_digest[TPM_DIGEST_SIZE])
{
	struct sealing sealing = {.policy = policy, .bytes = bytes, .size = size};
	ESYS_TR srk = ESYS_TR_NONE;
	int r;

	if (size == 0 || size > TPM_SEAL_MAX || (!policy->approval && (policy->pcrs == 0 || policy->pcrs >> 24)))
		return chip_refuse(chip, -EINVAL, "data or policy cannot be sealed");
	if (creation_names(uuid, bytes, size, &sealing.names) < 0)
		return chip_refuse(chip, -EIO, "digest of the data failed");
	r = chip_srk_open(chip, &srk);
	if (r == 0 && policy->approval)
		r = chip_counter_raise(chip, TPM_VERSION_NV, policy->approval->version);
	if (r == 0)
		r = seal_once(chip, srk, &sealing, ret, ret_digest);
	for (unsigned i = 1; r == -EAGAIN && i < TPM_TRIES_MAX; i++)
		r = seal_once(chip, srk, &sealing, ret, ret_digest);
	chip_forget(chip, srk);
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

static int meet_policy(struct chip *chip, ESYS_TR session, const struct tpm_policy *policy)
{
	int r;

	if (!policy->approval)
		return policy_pcr(chip, session, policy->pcrs, NULL);
	r = policy_pcr(chip, session, TPM_SIGNED_PCRS, NULL);
	if (r == 0)
		r = policy_version(chip, session, policy->approval);
	if (r == 0)
		r = authorize(chip, session, policy->approval);
	return r == 0 ? policy_pcr(chip, session, CLOSE_BIT, NULL) : r;
}

static int unseal_object(struct chip *chip, ESYS_TR srk, const struct tpm_policy *policy, ESYS_TR object,
			 struct secret *ret)
{
	TPM2B_SENSITIVE_DATA *plain = NULL;
	ESYS_TR session = ESYS_TR_NONE;
	int r;

	r = chip_session_start(chip, srk, TPM2_SE_POLICY, TPMA_SESSION_ENCRYPT, &session);
	if (r < 0)
		return r;
	r = meet_policy(chip, session, policy);
	if (r == 0)
		r = chip_translate(chip, "TPM2_Unseal",
				  Esys_Unseal(chip->esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, &plain));
	chip_flush(chip, session);
	if (r == 0)
		r = secret_copy(plain->buffer, plain->size, ret);
	chip_wipe_free(plain, sizeof(*plain));
	return r;
}

/* What is to be unsealed. */
struct unsealing {
	const struct tpm_policy *policy;
	const char *uuid;
	const uint8_t *first;	/* the digest with which this boot's first disk closed PCR 15, or NULL */
	const struct tpm_creation *creation;
	TPM2B_PRIVATE private;
	TPM2B_PUBLIC public;
};

/* The digest of what an image's signed policy asks for. */
static int signed_policy(struct chip *chip, ESYS_TR srk, const TPM2B_DIGEST *values, uint32_t version,
			 uint8_t ret[TPM_DIGEST_SIZE])
{
	ESYS_TR session = ESYS_TR_NONE;
	TPM2B_DIGEST *digest = NULL;
	int r = chip_session_start(chip, srk, TPM2_SE_TRIAL, 0, &session);

	if (r == 0)
		r = policy_pcr(chip, session, TPM_SIGNED_PCRS, values);
	if (r == 0)
		r = policy_counter(chip, session, version);
	if (r == 0)
		r = chip_translate(chip, "TPM2_PolicyGetDigest",
				  Esys_PolicyGetDigest(chip->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
						       &digest));
	chip_flush(chip, session);
	if (r == 0)
		memcpy(ret, digest->buffer, TPM_DIGEST_SIZE);
	Esys_Free(digest);
	return r;
}

/* The image that says it has sealed the key: what its PCRs were, if this image's policy key has signed it. */
static int signed_image(struct chip *chip, ESYS_TR srk, const struct tpm_approval *own,
			const struct creation_image *image, TPM2B_DIGEST *ret)
{
	uint8_t values[sizeof(image->values) + TPM_DIGEST_SIZE] = {0};	/* and PCR 15 as zeros */
	struct tpm_approval approval = {.is_signed = 1};
	TPMT_TK_VERIFIED *ticket = NULL;
	TPM2B_NAME *name = NULL;
	TPM2B_DIGEST signed_values;
	uint32_t version;
	int r;

	memcpy(values, image->values, sizeof(image->values));
	memcpy(&version, image->version, sizeof(version));
	memcpy(approval.modulus, own->modulus, sizeof(approval.modulus));
	memcpy(approval.signature, image->signature, sizeof(approval.signature));
	r = digest_values(values, sizeof(image->values), &signed_values);
	if (r == 0)
		r = signed_policy(chip, srk, &signed_values, be32toh(version), approval.policy);
	if (r == 0)
		r = verify(chip, &approval, &ticket, &name);
	Esys_Free(ticket);
	Esys_Free(name);
	if (r == -EKEYREJECTED)
		return chip_refuse(chip, r, "another image sealed the key: "
				   "its policy is not signed by this image's policy key");
	return r < 0 ? r : digest_values(values, sizeof(values), ret);
}

/* Whether PCR 15 is what this disk has made it, and nothing else. */
static bool is_first_open(struct chip *chip, const uint8_t *first)
{
	uint8_t bytes[2 * TPM_DIGEST_SIZE] = {0}, expected[TPM_DIGEST_SIZE], now[TPM_DIGEST_SIZE];

	if (!first)
		return false;
	memcpy(bytes + TPM_DIGEST_SIZE, first, TPM_DIGEST_SIZE);
	return mbedtls_sha256(bytes, sizeof(bytes), expected, 0) == 0 &&
	       chip_pcr_read(chip, TPM_PCR_CLOSE, now) == 0 && memcmp(now, expected, sizeof(now)) == 0;
}

/*
 * Which images may have sealed the key: this one, before a disk was open. With a signed policy also one whose own was
 * signed. A key that is not bound to PCR 15 may be used after the closing, and may have been sealed then: where the
 * same disk had been opened first.
 */
static int wanted_values(struct chip *chip, const struct unsealing *u, struct creation_wanted *wanted)
{
	const struct tpm_approval *approval = u->policy->approval;
	struct creation_image image;
	bool bound = is_bound(u->policy);
	int r;

	if (approval && creation_image(u->creation, &image) == 1) {
		r = signed_image(chip, wanted->srk, approval, &image, &wanted->values[0]);
		wanted->n_values = 1;
		return r;
	}
	r = values_digest(chip, wanted->pcrs, bound ? CLOSE_MUST_BE_ZERO : CLOSE_AS_ZERO, &wanted->values[0]);
	wanted->n_values = 1;
	if (r == 0 && !bound && is_first_open(chip, u->first))
		r = values_digest(chip, wanted->pcrs, CLOSE_AS_IT_IS, &wanted->values[wanted->n_values++]);
	return r;
}

static int check_creation(struct chip *chip, ESYS_TR srk, ESYS_TR object, const struct unsealing *u, TPM2B_DATA *ret)
{
	struct creation_wanted wanted = {.srk = srk, .object = object, .pcrs = creation_pcrs(u->policy)};
	int r = wanted_values(chip, u, &wanted);

	if (r == 0)
		r = creation_check(chip, u->creation, &wanted, ret);
	if (r == -EBADE)
		r = chip_refuse(chip, -EKEYREJECTED, is_bound(u->policy) || wanted.n_values > 1 ?
				"another image sealed the key: the PCR values at its creation are not this image's" :
				"another image sealed the key, or this one while a disk was open that is not open now");
	return r;
}

/* That the key was sealed for this volume, and is the key that was sealed. */
static int check_names(struct chip *chip, const char *uuid, const struct secret *plain, const TPM2B_DATA *names)
{
	TPM2B_DATA expected;

	if (creation_names(uuid, plain->bytes, plain->size, &expected) < 0)
		return -EIO;
	if (names->size != expected.size || memcmp(names->buffer, expected.buffer, expected.size) != 0)
		return chip_refuse(chip, -EKEYREJECTED, "the key was sealed for another volume");
	return 0;
}

static int unseal_once(struct chip *chip, ESYS_TR srk, const struct unsealing *u, struct secret *ret)
{
	_cleanup_secret_ struct secret plain = {0};
	TPM2B_DATA names = {.size = 0};
	ESYS_TR object = ESYS_TR_NONE;
	int r;

	r = chip_translate(chip, "TPM2_Load",
			   Esys_Load(chip->esys, srk, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &u->private,
				     &u->public, &object));
	if (r < 0)
		return r;
	r = unseal_object(chip, srk, u->policy, object, &plain);
	if (r == 0)
		r = check_creation(chip, srk, object, u, &names);
	chip_flush(chip, object);
	if (r == 0)
		r = check_names(chip, u->uuid, &plain, &names);
	if (r == 0) {
		*ret = plain;
		plain = (struct secret){0};
	}
	return r;
}

/* Of all the reasons for a refusal this one is not the image's or the disk's fault. */
static int explain_refusal(struct chip *chip)
{
	uint8_t value[TPM_DIGEST_SIZE];
	char before[sizeof(chip->reason)];

	memcpy(before, chip->reason, sizeof(before));
	if (chip_pcr_read(chip, TPM_PCR_CLOSE, value) == 0 && !is_zero(value, sizeof(value)))
		return chip_refuse(chip, -EKEYREJECTED, "PCR 15 has been extended in this boot");
	return chip_refuse(chip, -EKEYREJECTED, before);
}

int chip_unseal(struct chip *chip, const struct tpm_policy *policy, const char uuid[TPM_VOLUME_MAX],
		const uint8_t *first, const struct tpm_sealed *sealed, struct secret *ret)
{
	struct unsealing u = {.policy = policy, .uuid = uuid, .first = first, .creation = &sealed->creation};
	ESYS_TR srk = ESYS_TR_NONE;
	int r;

	if (policy->approval && !policy->approval->is_signed)
		return chip_refuse(chip, -EKEYREJECTED, "this image has no signed policy");
	r = blob_unpack(chip, &sealed->blob, &u.private, &u.public);
	if (r < 0)
		return r;
	r = chip_srk_open(chip, &srk);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < TPM_TRIES_MAX; i++) {
		r = unseal_once(chip, srk, &u, ret);
		if (r != -EAGAIN)
			break;
	}
	chip_forget(chip, srk);
	return r == -EKEYREJECTED && is_bound(policy) ? explain_refusal(chip) : r;
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
