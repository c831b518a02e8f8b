/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the policy file on the boot disk, which the host can write: what is taken has the version that was asked
 * for and says that it is signed; what is refused has a reason and changes nothing.
 */
/* links: disk stages/lib init/lib */
/* libs: json-c mbedtls libseccomp */
#include <stdlib.h>
#include <string.h>

#include "stages/disk/approval.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tpm_approval approval = {.version = 3}, before = approval;
	char why[APPROVAL_WHY_MAX] = "", *text;
	int r;

	if (size > APPROVAL_SIZE_MAX)
		return 0;
	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, bytes, size);
	text[size] = '\0';
	r = approval_parse(text, &approval, why);
	if (r == 0 ? !approval.is_signed || approval.version != 3 : !why[0] || memcmp(&approval, &before, sizeof(before)) != 0)
		abort();
	free(text);
	return 0;
}
