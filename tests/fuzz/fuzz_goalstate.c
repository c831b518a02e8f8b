/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wireserver's goal state: what is taken must be given back in a health report that fits.
 */
/* links: cloud stages/lib init/lib */
/* libs: expat */
#include <stdlib.h>
#include <string.h>

#include <stdint.h>

#include "stages/cloud/goalstate.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct goalstate state;
	char error[200] = "", text[HEALTH_SIZE_MAX];

	if (goalstate_parse(bytes, size, &state, error, sizeof(error)) < 0) {
		if (!error[0])
			abort();
		return 0;
	}
	if (!state.incarnation[0] || !state.container_id[0] || !state.instance_id[0] ||
	    health_format(&state, error, text, sizeof(text)) <= 0)
		abort();
	return 0;
}
