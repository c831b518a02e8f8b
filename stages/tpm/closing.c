/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements closing.h. */
#include "closing.h"

#include <string.h>

void closing_device(struct closing *closing, bool is_zero)
{
	closing->device = true;
	closing->closed |= !is_zero;
}

void closing_want(struct closing *closing, const uint8_t digest[TPM_DIGEST_SIZE])
{
	closing->wanted = true;
	if (!digest || closing->has_digest)
		return;
	closing->has_digest = true;
	memcpy(closing->digest, digest, sizeof(closing->digest));
}

void closing_done(struct closing *closing)
{
	closing->closed = true;
}

bool closing_due(const struct closing *closing)
{
	return closing->device && closing->wanted && !closing->closed;
}

bool closing_may_unseal(const struct closing *closing)
{
	return closing->device && !closing->wanted && !closing->closed;
}
