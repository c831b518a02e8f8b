/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sizes are checked before anything they bound is read. Only SHA-256 binding is known (hash type 1): it is what
 * every TDX machine has; another one is refused rather than left unchecked.
 */
#define _GNU_SOURCE
#include "hcl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/sha256.h>

#include "stages/lib/tdx.h"

#define AT_REPORT      32
#define AT_RUNTIME     1216	/* data size, version, report type, hash type, variable size: 5 numbers */
#define AT_JSON        1236
#define HASH_SHA256    1

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static int refuse(char *error, size_t error_size, const char *why)
{
	snprintf(error, error_size, "%s", why);
	return -EBADMSG;
}

int hcl_parse(const void *bytes, size_t size, struct hcl_report *ret, char *error, size_t error_size)
{
	static const uint8_t zeros[32];
	const uint8_t *p = bytes;
	struct hcl_report r = {0};
	uint8_t digest[32];
	uint32_t json_size;

	if (size < AT_JSON || memcmp(p, "HCLA", 4) != 0)
		return refuse(error, error_size, "not an HCL report");
	json_size = get32(p + AT_RUNTIME + 16);
	if (json_size == 0 || json_size > size - AT_JSON || get32(p + AT_RUNTIME) != json_size + 20)
		return refuse(error, error_size, "size of the runtime claims does not fit");
	r.type = get32(p + AT_RUNTIME + 8);
	r.runtime = (const char *)p + AT_JSON;
	r.runtime_size = json_size;
	if (r.type == HCL_TDX) {
		if (get32(p + AT_RUNTIME + 12) != HASH_SHA256)
			return refuse(error, error_size, "hash of the runtime claims is not SHA-256");
		r.tdreport = p + AT_REPORT;
		if (mbedtls_sha256((const unsigned char *)r.runtime, r.runtime_size, digest, 0) != 0 ||
		    memcmp(r.tdreport + TDX_REPORTDATA_AT, digest, 32) != 0 ||
		    memcmp(r.tdreport + TDX_REPORTDATA_AT + 32, zeros, 32) != 0)
			return refuse(error, error_size, "report data is not the digest of the runtime claims");
	}
	*ret = r;
	return 0;
}
