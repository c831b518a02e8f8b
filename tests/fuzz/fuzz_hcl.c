/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The paravisor's report in the vTPM, and the form of a quote.
 */
/* links: cloud stages/lib evidence */
/* libs: mbedtls */
#include <stdlib.h>
#include <string.h>

#include <stdint.h>

#include "stages/cloud/hcl.h"
#include "stages/lib/tdx.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct hcl_report report;
	char error[200] = "";

	if (tdx_quote_valid(bytes, size) && tdx_quote_reportdata(bytes) + TDX_REPORTDATA_SIZE > bytes + size)
		abort();
	if (hcl_parse(bytes, size, &report, error, sizeof(error)) < 0)
		return error[0] ? 0 : (abort(), 0);
	if ((const uint8_t *)report.runtime + report.runtime_size > bytes + size ||
	    (report.tdreport && report.tdreport + TDX_REPORT_SIZE > bytes + size))
		abort();
	return 0;
}
