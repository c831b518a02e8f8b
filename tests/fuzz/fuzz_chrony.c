/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reply that claims to be chronyd's.
 */
/* links: clock stages/lib */
#include <stdlib.h>
#include <string.h>

#include <stdint.h>

#include "stages/clock/chrony.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint32_t sequence = 0;
	struct chrony_tracking t;

	if (size >= 20)
		sequence = (uint32_t)bytes[16] << 24 | (uint32_t)bytes[17] << 16 | (uint32_t)bytes[18] << 8 | bytes[19];
	if (chrony_parse_tracking(bytes, size, sequence, &t) == 0 &&
	    (t.leap >= CHRONY_LEAP_MAX || strlen(t.source) >= sizeof(t.source)))
		abort();
	return 0;
}
