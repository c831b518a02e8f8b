/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any answers of a TPM, through the real libtss2. The first byte chooses what is asked of it (`asks`); then come pieces
 * (target.h), an answer each, the first byte of which says what is put around it (the enum below); after the last one they
 * come again, from the latest one with AGAIN. What is refused has a reason and changes nothing, what is taken is within its limits, and a
 * TPM whose answers lead nowhere is given up.
 */
/* links: stages/tpm stages/lib init/lib */
/* libs: tss2 tss2-tcti-device tss2-tcti-swtpm mbedtls */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "stages/tpm/esys.h"
#include "stages/tpm/nv.h"
#include "stages/tpm/seal.h"
#include "target.h"

enum {RAW, PLAIN, AUTHORISED, REFUSED, FRAMES, AGAIN = 0x80};

#define COMMANDS_MAX 40000
#define INDEX        0x01800001u

static struct input answers, left, again;
static unsigned commands;
static struct chip chip;
static struct tpm_sealed sealed;
static const char volume[TPM_VOLUME_MAX] = "0b1c2d3e-0000-4000-8000-000000000001";

/* ---- the TPM ------------------------------------------------------------------------------------------------------ */

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
	(void)context;
	(void)size;
	(void)command;
	must(++commands < COMMANDS_MAX, "a TPM that leads nowhere is given up");
	return TSS2_RC_SUCCESS;
}

static size_t put(uint8_t *at, uint32_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * (size - 1 - i));
	return size;
}

/* Header, then for those with a session the size of the parameters and an empty authorisation behind them. */
static size_t frame(uint8_t how, struct input piece, uint8_t *out)
{
	size_t n = 0;

	if (how == RAW) {
		memcpy(out, piece.bytes, piece.size);
		return piece.size;
	}
	if (how == REFUSED) {
		n += put(out, 0x8001, 2);
		n += put(out + n, 10, 4);
		return n + put(out + n, input_byte(&piece) | (uint32_t)input_byte(&piece) << 8, 4);
	}
	n += put(out, how == AUTHORISED ? 0x8002 : 0x8001, 2);
	n += put(out + n, (uint32_t)(10 + piece.size + (how == AUTHORISED ? 9 : 0)), 4);
	n += put(out + n, 0, 4);
	if (how == AUTHORISED)
		n += put(out + n, (uint32_t)piece.size, 4);
	memcpy(out + n, piece.bytes, piece.size);
	n += piece.size;
	return how == AUTHORISED ? n + put(out + n, 0x0000, 2) + put(out + n + 2, 1, 1) + put(out + n + 3, 0, 2) : n;
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout)
{
	uint8_t bytes[4096];
	struct input piece, before;
	size_t n;

	(void)context;
	(void)timeout;
	if (!left.size)
		left = again;
	before = left;
	if (!input_piece(&left, &piece)) {
		left.size = 0;
		return TSS2_TCTI_RC_IO_ERROR;
	}
	n = input_byte(&piece);
	if (n & AGAIN)
		again = before;
	n %= FRAMES;
	piece.size = piece.size < 4000 ? piece.size : 4000;
	n = frame((uint8_t)n, piece, bytes);
	if (!response) {
		*size = n;
		left = before;	/* only its size is asked */
		return TSS2_RC_SUCCESS;
	}
	if (n > *size)
		return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
	memcpy(response, bytes, n);
	*size = n;
	return TSS2_RC_SUCCESS;
}

static void finalize(TSS2_TCTI_CONTEXT *context)
{
	(void)context;
}

static TSS2_RC cancel(TSS2_TCTI_CONTEXT *context)
{
	(void)context;
	return TSS2_RC_SUCCESS;
}

static TSS2_RC locality(TSS2_TCTI_CONTEXT *context, uint8_t value)
{
	(void)context;
	(void)value;
	return TSS2_RC_SUCCESS;
}

/* ---- what is asked ------------------------------------------------------------------------------------------------- */

static int ask_pcr(void)
{
	uint8_t digest[TPM_DIGEST_SIZE + 1] = {0};
	int r = chip_pcr_read(&chip, 4, digest);

	must(!digest[TPM_DIGEST_SIZE], "a digest's size");
	return r;
}

static int ask_extend(void)
{
	static const uint8_t digest[TPM_DIGEST_SIZE];

	return chip_pcr_extend(&chip, 15, digest);
}

static int ask_nv(void)
{
	uint8_t *bytes = NULL;
	size_t size = 12345;
	int r = chip_nv_read(&chip, INDEX, &bytes, &size);

	must(r == 0 ? bytes && size <= TPM_NV_MAX : !bytes && size == 12345, "a bounded index, or nothing");
	free(bytes);
	return r;
}

static int ask_secret(void)
{
	struct secret secret = {0};
	int r = chip_nv_read_secret(&chip, INDEX, &secret);

	must(r == 0 ? secret.size <= TPM_NV_MAX : !secret.bytes, "a bounded index, or nothing");
	secret_wipe(&secret);
	return r;
}

static int ask_counter(void)
{
	uint64_t value = 12345;
	int r = chip_counter_read(&chip, INDEX, &value);

	must(r == 0 || value == 12345, "what is refused changes nothing");
	return r;
}

static int ask_raise(void)
{
	return chip_counter_raise(&chip, INDEX, 900);
}

static int ask_write(void)
{
	return chip_nv_write(&chip, INDEX, "record", 6);
}

static int ask_seal(void)
{
	static const struct tpm_policy policy = {.pcrs = 1u << 4 | 1u << 15};
	uint8_t digest[TPM_DIGEST_SIZE];
	struct tpm_sealed made = {.blob.size = 12345};
	int r = chip_seal(&chip, &policy, volume, "key", 3, &made, digest);

	must(r == 0 ? made.blob.size <= sizeof(made.blob.bytes) : made.blob.size == 12345, "a bounded blob, or nothing");
	return r;
}

static int ask_unseal(void)
{
	static const struct tpm_policy policy = {.pcrs = 1u << 4 | 1u << 15};
	struct secret secret = {0};
	int r = chip_unseal(&chip, &policy, volume, &sealed, &secret);

	must(r == 0 || !secret.bytes, "a secret, or nothing");
	secret_wipe(&secret);
	return r;
}

static int ask_srk(void)
{
	uint8_t *bytes = NULL;
	size_t size = 0;
	bool rsa;
	int r = chip_srk_serialize(&chip, &bytes, &size, &rsa);

	must(r == 0 ? bytes && size > 0 : !bytes, "a key, or nothing");
	free(bytes);
	return r;
}

static int (*const asks[])(void) = {
	ask_pcr, ask_extend, ask_nv, ask_secret, ask_counter, ask_raise, ask_write, ask_seal, ask_unseal, ask_srk,
};

/* The blob is what the disk says: the first piece. */
static void take_blob(void)
{
	struct input piece;

	if (!input_piece(&answers, &piece))
		return;
	sealed.blob.size = piece.size < sizeof(sealed.blob.bytes) ? piece.size : sizeof(sealed.blob.bytes);
	memcpy(sealed.blob.bytes, piece.bytes, sealed.blob.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	TSS2_TCTI_CONTEXT_COMMON_V2 tcti = {.v1 = {.version = 2, .transmit = transmit, .receive = receive, .finalize = finalize,
						   .cancel = cancel, .setLocality = locality}};
	struct input input = {bytes, size};
	size_t which = input_byte(&input) % (sizeof(asks) / sizeof(*asks));
	int r;

	setenv("TSS2_LOG", "all+none", 0);
	answers = input;
	if (asks[which] == ask_unseal)
		take_blob();
	left = again = answers;
	commands = 0;
	chip = (struct chip){.tcti = (TSS2_TCTI_CONTEXT *)&tcti};
	must(Esys_Initialize(&chip.esys, chip.tcti, NULL) == TSS2_RC_SUCCESS, "ESYS");
	r = asks[which]();
	must(r == 0 || chip.reason[0] || r == -ENOMEM, "an error has a reason");
	must(memchr(chip.reason, 0, sizeof(chip.reason)), "which ends");
	Esys_Finalize(&chip.esys);
	return 0;
}
