/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Quotes from Azure's instance metadata service, which converts a TDREPORT into one. On Azure the paravisor owns the
 * processor's interface, so configfs-tsm is not available.
 */
#ifndef STAGES_CLOUD_IMDS_H
#define STAGES_CLOUD_IMDS_H

#include <stddef.h>
#include <stdint.h>

#include "stages/lib/tdx.h"

/*
 * 0 with *ret, the caller's to free; or negative errno with one line in error: as http_perform(), -EIO another status
 * than 200, -EBADMSG an answer that is not a quote of this report.
 */
int imds_get_quote(const uint8_t report[TDX_REPORT_SIZE], uint8_t **ret, size_t *ret_size, char *error,
		   size_t error_size);

#endif
