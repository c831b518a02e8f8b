/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The attestation report that Azure's paravisor leaves in the vTPM (NV 0x01400001): a hardware report, and the
 * "runtime" JSON whose digest is in that report. Layout as found on real machines, docs/stages.md; numbers are
 * little-endian. Parsing copies nothing: the struct points into the caller's bytes.
 */
#ifndef STAGES_CLOUD_HCL_H
#define STAGES_CLOUD_HCL_H

#include <stddef.h>
#include <stdint.h>

enum hcl_type {
	HCL_SNP = 2,
	HCL_NONE = 3,	/* a trusted-launch machine: no hardware report */
	HCL_TDX = 4,
};

struct hcl_report {
	enum hcl_type type;
	const uint8_t *tdreport;	/* TDX_REPORT_SIZE bytes, with HCL_TDX; else NULL */
	const char *runtime;		/* JSON exactly as it was hashed */
	size_t runtime_size;
};

/*
 * 0 or -EBADMSG with one line in error. With HCL_TDX the TDREPORT's report data must be the SHA-256 of the runtime
 * JSON and zeros: otherwise the two do not belong together, and it is refused.
 */
int hcl_parse(const void *bytes, size_t size, struct hcl_report *ret, char *error, size_t error_size);

#endif
