/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes are fixed: an existing index with others belongs to another program or an older version, and is not
 * used. A counter that is removed and made again does not start lower: the TPM begins it at the highest
 * value that any counter ever had (TPM 2.0 library part 1, section 37.2.4).
 */
#define _GNU_SOURCE
#include "nv.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esys.h"

#define NV_CHUNK 1024	/* bytes a read or write, if the TPM does not say */

#define RECORD_ATTRIBUTES (TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA)

/* Readable without authorisation, because TPM2_PolicyNV does so by the index's own empty authorisation. */
#define COUNTER_ATTRIBUTES (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT | TPMA_NV_OWNERWRITE | TPMA_NV_AUTHWRITE | \
			    TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA)

/* Vendors refuse a read larger than their buffer, and the buffers differ. */
static size_t nv_chunk(struct chip *chip)
{
	TPMS_CAPABILITY_DATA *capability = NULL;
	size_t chunk = NV_CHUNK;
	TPMI_YES_NO more;

	if (Esys_GetCapability(chip->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_TPM_PROPERTIES,
			       TPM2_PT_NV_BUFFER_MAX, 1, &more, &capability) != TSS2_RC_SUCCESS)
		return chunk;
	if (capability->data.tpmProperties.count == 1 &&
	    capability->data.tpmProperties.tpmProperty[0].property == TPM2_PT_NV_BUFFER_MAX &&
	    capability->data.tpmProperties.tpmProperty[0].value >= 64 &&
	    capability->data.tpmProperties.tpmProperty[0].value < chunk)
		chunk = capability->data.tpmProperties.tpmProperty[0].value;
	Esys_Free(capability);
	return chunk;
}

static int read_all(struct chip *chip, ESYS_TR index, ESYS_TR session, uint8_t *bytes, size_t size)
{
	size_t chunk = nv_chunk(chip), done = 0;

	while (done < size) {
		size_t want = size - done < chunk ? size - done : chunk;
		TPM2B_MAX_NV_BUFFER *part = NULL;
		int r;

		r = chip_translate(chip, "TPM2_NV_Read",
				  Esys_NV_Read(chip->esys, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, session,
					       ESYS_TR_NONE, (uint16_t)want, (uint16_t)done, &part));
		if (r < 0)
			return r;
		if (part->size != want) {
			chip_wipe_free(part, sizeof(*part));
			return chip_refuse(chip, -EIO, "TPM2_NV_Read: fewer bytes than requested");
		}
		memcpy(bytes + done, part->buffer, want);
		chip_wipe_free(part, sizeof(*part));
		done += want;
	}
	return 0;
}

/* Opens an index and reads its public area. */
static int open_index(struct chip *chip, uint32_t index, ESYS_TR *ret, TPMS_NV_PUBLIC *ret_public)
{
	ESYS_TR handle = ESYS_TR_NONE;
	TPM2B_NV_PUBLIC *public = NULL;
	int r;

	r = chip_translate(chip, "TPM2_NV_ReadPublic",
			  Esys_TR_FromTPMPublic(chip->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &handle));
	if (r < 0)
		return r;
	r = chip_translate(chip, "TPM2_NV_ReadPublic",
			  Esys_NV_ReadPublic(chip->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public,
					     NULL));
	if (r == 0 && public->nvPublic.dataSize > TPM_NV_MAX)
		r = chip_refuse(chip, -EFBIG, "NV index is larger than expected");
	if (r == 0) {
		*ret = handle;
		*ret_public = public->nvPublic;
	} else {
		chip_forget(chip, handle);
	}
	Esys_Free(public);
	return r;
}

int chip_nv_read(struct chip *chip, uint32_t index, uint8_t **ret_bytes, size_t *ret_size)
{
	ESYS_TR handle = ESYS_TR_NONE;
	TPMS_NV_PUBLIC public;
	uint8_t *bytes;
	int r;

	r = open_index(chip, index, &handle, &public);
	if (r < 0)
		return r;
	bytes = calloc(1, (size_t)public.dataSize + 1);
	r = bytes ? read_all(chip, handle, ESYS_TR_NONE, bytes, public.dataSize) : -ENOMEM;
	chip_forget(chip, handle);
	if (r < 0) {
		free(bytes);
		return r;
	}
	*ret_bytes = bytes;
	*ret_size = public.dataSize;
	return 0;
}

int chip_nv_read_secret(struct chip *chip, uint32_t index, struct secret *ret)
{
	ESYS_TR handle = ESYS_TR_NONE, srk = ESYS_TR_NONE, session = ESYS_TR_NONE;
	_cleanup_secret_ struct secret secret = {0};
	TPMS_NV_PUBLIC public;
	int r;

	r = open_index(chip, index, &handle, &public);
	if (r < 0)
		return r;
	r = chip_srk_open(chip, &srk);
	if (r == 0)
		r = chip_session_start(chip, srk, TPM2_SE_HMAC, TPMA_SESSION_ENCRYPT, &session);
	if (r == 0)
		r = secret_new(public.dataSize, &secret);
	if (r == 0)
		r = read_all(chip, handle, session, secret.bytes, secret.size);
	chip_flush(chip, session);
	chip_forget(chip, srk);
	chip_forget(chip, handle);
	if (r == 0) {
		*ret = secret;
		secret = (struct secret){0};
	}
	return r;
}

static int undefine(struct chip *chip, ESYS_TR index)
{
	return chip_translate(chip, "TPM2_NV_UndefineSpace",
			     Esys_NV_UndefineSpace(chip->esys, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, ESYS_TR_NONE,
						   ESYS_TR_NONE));
}

/* An index of exactly that kind and size; another one in its place is removed. */
static int define(struct chip *chip, uint32_t index, TPMA_NV attributes, size_t size, ESYS_TR *ret)
{
	static const TPM2B_AUTH empty;
	TPM2B_NV_PUBLIC wanted = {
		.nvPublic = {.nvIndex = index, .nameAlg = TPM2_ALG_SHA256, .attributes = attributes,
			     .dataSize = (uint16_t)size},
	};
	TPMS_NV_PUBLIC found;
	int r;

	r = open_index(chip, index, ret, &found);
	if (r == 0) {
		if ((found.attributes & ~TPMA_NV_WRITTEN) == attributes && found.dataSize == size &&
		    found.nameAlg == TPM2_ALG_SHA256 && found.authPolicy.size == 0)
			return 0;
		r = undefine(chip, *ret);
	}
	if (r < 0 && r != -ENOENT)
		return r;
	return chip_translate(chip, "TPM2_NV_DefineSpace",
			     Esys_NV_DefineSpace(chip->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
						 ESYS_TR_NONE, &empty, &wanted, ret));
}

int chip_nv_write(struct chip *chip, uint32_t index, const void *bytes, size_t size)
{
	ESYS_TR handle = ESYS_TR_NONE;
	TPM2B_MAX_NV_BUFFER buffer = {.size = (uint16_t)size};
	int r;

	/* In one command, so that it is whole or not at all. */
	if (size > sizeof(buffer.buffer) || size > nv_chunk(chip))
		return chip_refuse(chip, -EFBIG, "record is larger than the TPM writes at once");
	memcpy(buffer.buffer, bytes, size);
	r = define(chip, index, RECORD_ATTRIBUTES, size, &handle);
	if (r < 0)
		return r;
	r = chip_translate(chip, "TPM2_NV_Write",
			  Esys_NV_Write(chip->esys, ESYS_TR_RH_OWNER, handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
					ESYS_TR_NONE, &buffer, 0));
	chip_forget(chip, handle);
	return r;
}

int chip_nv_remove(struct chip *chip, uint32_t index)
{
	ESYS_TR handle = ESYS_TR_NONE;
	TPMS_NV_PUBLIC public;
	int r;

	r = open_index(chip, index, &handle, &public);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return undefine(chip, handle);
}

static int read_counter(struct chip *chip, ESYS_TR index, uint64_t *ret)
{
	uint64_t value;
	int r;

	r = read_all(chip, index, ESYS_TR_NONE, (uint8_t *)&value, sizeof(value));
	if (r == 0)
		*ret = be64toh(value);
	return r;
}

int chip_counter_read(struct chip *chip, uint32_t index, uint64_t *ret)
{
	ESYS_TR handle = ESYS_TR_NONE;
	TPMS_NV_PUBLIC public;
	int r;

	r = open_index(chip, index, &handle, &public);
	if (r < 0)
		return r;
	if ((public.attributes & ~TPMA_NV_WRITTEN) != COUNTER_ATTRIBUTES || public.dataSize != sizeof(*ret))
		r = chip_refuse(chip, -ENOENT, "NV index is not a version counter");
	else if (!(public.attributes & TPMA_NV_WRITTEN))
		r = chip_refuse(chip, -ENOENT, "counter is not initialized");
	else
		r = read_counter(chip, handle, ret);
	chip_forget(chip, handle);
	return r;
}

int chip_counter_raise(struct chip *chip, uint32_t index, uint64_t value)
{
	ESYS_TR handle = ESYS_TR_NONE;
	uint64_t now = 0;
	char text[96];
	int r, tries = 0, steps = 0;

	r = define(chip, index, COUNTER_ATTRIBUTES, sizeof(now), &handle);
	if (r < 0)
		return r;
	r = read_counter(chip, handle, &now);
	if (r == -ENODATA)
		r = 0;
	if (r == 0 && value > now && value - now > TPM_COUNTER_STEPS_MAX) {
		snprintf(text, sizeof(text), "version counter %" PRIu64 " is too far below version %" PRIu64,
			 now, value);
		r = chip_refuse(chip, -ERANGE, text);
	}
	while (r == 0 && now < value) {
		if (++steps > TPM_COUNTER_STEPS_MAX + TPM_TRIES_MAX) {
			r = chip_refuse(chip, -EIO, "version counter does not rise");
			break;
		}
		r = chip_translate(chip, "TPM2_NV_Increment",
				  Esys_NV_Increment(chip->esys, ESYS_TR_RH_OWNER, handle, ESYS_TR_PASSWORD,
						    ESYS_TR_NONE, ESYS_TR_NONE));
		if (r == -EAGAIN && ++tries < TPM_TRIES_MAX)
			r = 0;
		if (r == 0)
			r = read_counter(chip, handle, &now);
		if (r == -ENODATA)
			r = 0;
	}
	chip_forget(chip, handle);
	return r;
}
