/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sealed object has no password: its policy is the only way in, and it does not count for the TPM's lockout
 * (NODA), so that a wrong image cannot lock out the right one. To unseal, TPM2_PolicyPCR takes the values as they are,
 * and every try makes all its sessions anew.
 */
#define _GNU_SOURCE
#include "seal.h"

#include <errno.h>
#include <string.h>

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include "creation.h"
#include "esys.h"
#include "nv.h"
#include "policy.h"
#include "signed.h"

#define SEALED_ATTRIBUTES (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA)

/* Extending PCR 15 must close every seal, and PCRs from 16 on can be reset. */
static bool is_sound(const struct tpm_policy *policy)
{
	return policy->approval || (policy->pcrs & POLICY_CLOSE && !(policy->pcrs >> 16));
}

/* ---- the blob -------------------------------------------------------------------------------------------------- */

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

/* ---- sealing --------------------------------------------------------------------------------------------------- */

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
	return policy->approval ? TPM_SIGNED_PCRS | POLICY_CLOSE : policy->pcrs;
}

struct seal_policy {
	const struct tpm_approval *approval;
	uint32_t pcrs;		/* without approval, all; with it, those that are not signed */
	TPM2B_DIGEST values;
};

static int ask_seal(struct chip *chip, ESYS_TR session, const void *of)
{
	const struct seal_policy *policy = of;
	int r = policy->approval ? signed_ask(chip, session, policy->approval) : 0;

	return r == 0 ? policy_pcr(chip, session, policy->pcrs, &policy->values) : r;
}

static int sealing_policy(struct chip *chip, ESYS_TR srk, const struct tpm_policy *with, TPM2B_DIGEST *ret)
{
	struct seal_policy policy = {.approval = with->approval, .pcrs = with->approval ? POLICY_CLOSE : with->pcrs};
	int r = policy_digest_now(chip, policy.pcrs, &policy.values);

	return r == 0 ? policy_trial(chip, srk, ask_seal, &policy, ret) : r;
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
		is_signed = r = signed_this_image(chip, sealing->policy->approval, &image);
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

	if (size == 0 || size > TPM_SEAL_MAX || !is_sound(policy))
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

/* ---- unsealing ------------------------------------------------------------------------------------------------- */

static int meet_policy(struct chip *chip, ESYS_TR session, const struct tpm_policy *policy)
{
	int r;

	if (!policy->approval)
		return policy_pcr(chip, session, policy->pcrs, NULL);
	r = signed_meet(chip, session, policy->approval);
	return r == 0 ? policy_pcr(chip, session, POLICY_CLOSE, NULL) : r;
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
	const struct tpm_creation *creation;
	TPM2B_PRIVATE private;
	TPM2B_PUBLIC public;
};

/* Which image may have sealed the key: this one, before a disk was open, or, with a signed policy, a signed one. */
static int check_creation(struct chip *chip, ESYS_TR srk, ESYS_TR object, const struct unsealing *u, TPM2B_DATA *ret)
{
	struct creation_wanted wanted = {.srk = srk, .object = object, .pcrs = creation_pcrs(u->policy)};
	const struct tpm_approval *approval = u->policy->approval;
	struct creation_image image;
	int r;

	if (approval && creation_image(u->creation, &image) == 1)
		r = signed_values(chip, srk, approval, &image, &wanted.values);
	else
		r = policy_digest_now(chip, wanted.pcrs, &wanted.values);
	return r == 0 ? creation_check(chip, u->creation, &wanted, ret) : r;
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
	char before[sizeof(chip->reason)];
	TPM2B_DIGEST unused;

	memcpy(before, chip->reason, sizeof(before));
	if (policy_digest_now(chip, POLICY_CLOSE, &unused) == -EKEYREJECTED)
		return -EKEYREJECTED;
	return chip_refuse(chip, -EKEYREJECTED, before);
}

int chip_unseal(struct chip *chip, const struct tpm_policy *policy, const char uuid[TPM_VOLUME_MAX],
		const struct tpm_sealed *sealed, struct secret *ret)
{
	struct unsealing u = {.policy = policy, .uuid = uuid, .creation = &sealed->creation};
	ESYS_TR srk = ESYS_TR_NONE;
	int r;

	if (!is_sound(policy))
		return chip_refuse(chip, -EINVAL, "policy without PCR 15, or with one that can be reset");
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
	return r == -EKEYREJECTED ? explain_refusal(chip) : r;
}
