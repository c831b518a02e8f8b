/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What kind of machine this is, found by what is really there and not by configuration. Azure comes first: there a
 * TDX machine has no usable configfs-tsm, and its report lies in the vTPM.
 */
#ifndef STAGES_EVIDENCE_PLATFORM_H
#define STAGES_EVIDENCE_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

#include "hcl.h"
#include "stages/lib/tpm.h"

#define AZURE_ASSET_TAG "7783-7084-3265-9085-8269-3286-77"

enum platform {
	PLATFORM_PLAIN,
	PLATFORM_AZURE,		/* a TDX machine of Azure: chassis tag, and an HCL report of type TDX */
	PLATFORM_TDX,		/* a TDX machine without paravisor: /dev/tdx_guest and configfs-tsm */
	PLATFORM_MAX,
};

#define PLATFORM_NAMES {"plain", "azure", "tdx"}

struct platform_found {
	enum platform platform;
	char why[200];		/* one line: what was seen, or what was missing */
	uint8_t *hcl_bytes;	/* on Azure; `hcl` points into it */
	size_t hcl_size;
	struct hcl_report hcl;
};

/* Never fails: what cannot be read is not there. tpm may be NULL. */
void platform_detect(struct tpm *tpm, struct platform_found *ret);
void platform_release(struct platform_found *found);

#endif
