/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When PCR 15 is extended: every order of {the device appears, a disk is opened, the boot is held, an attempt unseals
 * again, an extension fails}, each of them once or twice. A register of our own plays PCR 15.
 */
/* links: stages/tpm */
#define _GNU_SOURCE
#include "stages/tpm/closing.h"
#include "test.h"

enum input {DEVICE, OPENED, HELD, RETRY, BUSY, INPUTS};

#define LENGTH 7	/* 5^7 sequences, with every order of the five inputs among them */

static const uint8_t volume[TPM_DIGEST_SIZE] = {1}, other[TPM_DIGEST_SIZE] = {2};

struct boot {
	struct closing closing;
	bool device, asked;	/* what has happened */
	bool busy;		/* the next extension fails */
	int extended;
};

/* As the owner does after each input. */
static void settle(struct boot *boot)
{
	if (!closing_due(&boot->closing))
		return;
	CHECK(boot->device);
	if (boot->busy) {
		boot->busy = false;
		return;
	}
	boot->extended++;
	closing_done(&boot->closing);
}

static void feed(struct boot *boot, enum input input)
{
	switch (input) {
	case DEVICE:
		if (!boot->device)
			closing_device(&boot->closing, true);
		boot->device = true;
		break;
	case OPENED:
		closing_want(&boot->closing, boot->closing.has_digest ? other : volume);
		boot->asked = true;
		break;
	case HELD:
		closing_want(&boot->closing, NULL);
		boot->asked = true;
		break;
	case BUSY:
		boot->busy = true;
		return;
	case RETRY:
	default:
		CHECK_INT(closing_may_unseal(&boot->closing), boot->device && !boot->asked);
		break;
	}
	settle(boot);
}

TEST(pcr_15_is_extended_once_and_nothing_is_unsealed_after_that_in_every_order)
{
	for (int sequence = 0; sequence < 5 * 5 * 5 * 5 * 5 * 5 * 5; sequence++) {
		struct boot boot = {.extended = 0};

		for (int i = 0, rest = sequence; i < LENGTH; i++, rest /= INPUTS) {
			feed(&boot, (enum input)(rest % INPUTS));
			CHECK_INT(closing_may_unseal(&boot.closing), boot.device && !boot.asked);
			if (boot.device && boot.asked && boot.extended == 0)
				CHECK(closing_due(&boot.closing));
			CHECK(boot.extended <= 1);
		}
		boot.busy = false;
		settle(&boot);
		CHECK_INT(boot.extended, boot.device && boot.asked);
		if (boot.closing.has_digest)
			CHECK_MEM(boot.closing.digest, volume, sizeof(volume));
	}
}

TEST(pcr_15_that_is_extended_already_is_left_as_it_is_and_unseals_nothing)
{
	struct closing closing = {.device = false};

	closing_device(&closing, false);
	CHECK(!closing_may_unseal(&closing));
	closing_want(&closing, volume);
	CHECK(!closing_due(&closing));
}
