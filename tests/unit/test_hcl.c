/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The paravisor's report and the form of a TD quote. Reports that the emulated platform makes are read in the
 * component and boot tests; here are the edges.
 */
/* links: cloud stages/lib evidence */
/* libs: mbedtls */
#include <mbedtls/sha256.h>

#include "stages/cloud/hcl.h"
#include "stages/lib/tdx.h"
#include "test.h"

#define CLAIMS "{\"keys\":[]}"
#define SIZE   2600

static uint8_t report[SIZE];
static char error[120];
static struct hcl_report found;

static void put32(size_t at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		report[at + (size_t)i] = (uint8_t)(value >> (8 * i));
}

static void make_report(void)
{
	memset(report, 0, sizeof(report));
	memcpy(report, "HCLA", 4);
	report[32] = 0x81;
	put32(1216, 20 + strlen(CLAIMS));
	put32(1224, HCL_TDX);
	put32(1228, 1);
	put32(1232, strlen(CLAIMS));
	memcpy(report + 1236, CLAIMS, strlen(CLAIMS));
	mbedtls_sha256((const unsigned char *)CLAIMS, strlen(CLAIMS), report + 32 + TDX_REPORTDATA_AT, 0);
}

static int parse(size_t size)
{
	memset(&found, 0, sizeof(found));
	error[0] = '\0';
	return hcl_parse(report, size, &found, error, sizeof(error));
}

TEST(a_good_report_is_taken_apart)
{
	make_report();
	CHECK_INT(parse(SIZE), 0);
	CHECK_INT(found.type, HCL_TDX);
	CHECK(found.tdreport == report + 32);
	CHECK_INT(found.runtime_size, strlen(CLAIMS));
	CHECK_MEM(found.runtime, CLAIMS, strlen(CLAIMS));
	CHECK(tdx_report_valid(found.tdreport, TDX_REPORT_SIZE));
}

TEST(claims_that_the_hardware_does_not_vouch_for_are_refused)
{
	make_report();
	report[1240] ^= 1;
	CHECK_INT(parse(SIZE), -EBADMSG);
	CHECK_STR(error, "report data is not the digest of the runtime claims");
	make_report();
	report[32 + TDX_REPORTDATA_AT + 63] = 1;
	CHECK_INT(parse(SIZE), -EBADMSG);
	make_report();
	put32(1228, 2);
	CHECK_INT(parse(SIZE), -EBADMSG);
	CHECK_STR(error, "hash of the runtime claims is not SHA-256");
}

TEST(a_machine_without_hardware_report_has_none)
{
	make_report();
	put32(1224, HCL_NONE);
	CHECK_INT(parse(SIZE), 0);
	CHECK_INT(found.type, HCL_NONE);
	CHECK(!found.tdreport);
}

TEST(sizes_that_do_not_fit_are_refused)
{
	make_report();
	CHECK_INT(parse(0), -EBADMSG);
	CHECK_INT(parse(1235), -EBADMSG);
	CHECK_INT(parse(1236 + strlen(CLAIMS) - 1), -EBADMSG);
	CHECK_INT(parse(1236 + strlen(CLAIMS)), 0);
	put32(1232, 0xFFFFFFFF);
	put32(1216, 19);
	CHECK_INT(parse(SIZE), -EBADMSG);
	make_report();
	report[0] = 'X';
	CHECK_INT(parse(SIZE), -EBADMSG);
	CHECK_STR(error, "not an HCL report");
}

static uint8_t quote[5006];

static void make_quote(uint32_t auth)
{
	memset(quote, 0, sizeof(quote));
	quote[0] = 4;
	quote[2] = 2;
	quote[4] = 0x81;
	for (int i = 0; i < 4; i++)
		quote[632 + i] = (uint8_t)(auth >> (8 * i));
}

TEST(the_form_of_a_quote_is_checked)
{
	make_quote(4304);
	quote[636] = quote[4939] = 1;
	CHECK(tdx_quote_valid(quote, sizeof(quote)));
	CHECK(tdx_quote_valid(quote, 4940));
	CHECK(!tdx_quote_valid(quote, 4939));
	CHECK(!tdx_quote_valid(quote, 0));
	CHECK(!tdx_quote_valid(quote, 0x3FB));
	quote[4950] = 1;
	CHECK(!tdx_quote_valid(quote, sizeof(quote)));
	make_quote(0xFFFFFFFF);
	CHECK(!tdx_quote_valid(quote, sizeof(quote)));
	make_quote(4304);
	quote[4] = 0;
	CHECK(!tdx_quote_valid(quote, sizeof(quote)));
	make_quote(4304);
	quote[0] = 3;
	CHECK(!tdx_quote_valid(quote, sizeof(quote)));
	CHECK(tdx_quote_reportdata(quote) == quote + 568);
}
