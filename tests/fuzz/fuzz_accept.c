/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as an Accept header: it is read to its end and no further, and only who names text/html gets the page.
 */
/* links: api */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "init/api/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *accept = malloc(size + 1);

	memcpy(accept, bytes, size);
	accept[size] = '\0';
	if (accept_html(accept) && !strcasestr(accept, "text/html"))
		abort();
	free(accept);
	return 0;
}
