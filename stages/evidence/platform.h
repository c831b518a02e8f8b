/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which platform this machine runs on, detected and not configured. Clouds come first: on Azure a TDX machine has no
 * usable configfs-tsm, and its report lies in the vTPM.
 */
#ifndef STAGES_EVIDENCE_PLATFORM_H
#define STAGES_EVIDENCE_PLATFORM_H

#include "stages/cloud/cloud.h"

struct platform_found {
	const char *name;		/* of the cloud; else "tdx" (/dev/tdx_guest and configfs-tsm) or "plain" */
	const struct cloud *cloud;	/* whose TDX machine this is; NULL: none of those in its table */
	bool is_tdx;			/* a TDX machine with an interface of its own, without paravisor */
	uint8_t report[TDX_REPORT_SIZE];	/* with a cloud: its TDREPORT */
	char why[CLOUD_WHY_MAX];	/* one line: the findings, or the missing part */
};

/* Never fails: a source that cannot be read counts as missing. tpm may be NULL. */
void platform_detect(struct tpm *tpm, struct platform_found *ret);

#endif
