/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `measure`: reports which platform this machine runs on, reads its report and a quote through the interfaces
 * that a verifier's evidence comes from, and records the digest of an artifact where it cannot be taken back: PCR 14
 * of the vTPM, or RTMR 3. Extending cannot be undone or repeated, so it is the last act: every retry comes before it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/stage.h>

#include "init/lib/account.h"
#include "init/lib/hex.h"
#include "platform.h"
#include "stages/lib/backoff.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"
#include "stages/lib/secret.h"
#include "stages/lib/tdx.h"
#include "stages/lib/tpm.h"

#define USER        "gantry-measure"
#define PASSWD      "/etc/passwd"
#define QUOTE_TRIES 3

static struct tdx devices;	/* opened as root */

struct measure {
	const char *target;
	struct tpm *tpm;
	int tpm_error;
	struct platform_found found;
	struct secret artifact;
};

static bool is_plain(const struct measure *m)
{
	return !m->found.cloud && !m->found.is_tdx;
}

/* "key=hex of SHA-256" */
static void digest_field(const char *key, const void *bytes, size_t size, char *ret, size_t ret_size)
{
	uint8_t digest[32];
	char hex[65];

	if (mbedtls_sha256(bytes, size, digest, 0) != 0)
		return;
	hex_encode(digest, sizeof(digest), hex);
	snprintf(ret, ret_size, "%s=%s", key, hex);
}

static int get_report(struct measure *m, uint8_t report[TDX_REPORT_SIZE], char *error, size_t error_size)
{
	static const uint8_t reportdata[TDX_REPORTDATA_SIZE];
	int r;

	if (m->found.cloud) {
		memcpy(report, m->found.report, TDX_REPORT_SIZE);
		r = tdx_report_valid(report, TDX_REPORT_SIZE) ? 0 : -EBADMSG;
	} else {
		r = tdx_get_report(&devices, reportdata, report);
	}
	snprintf(error, error_size, "%s", strerror(-r));
	return r;
}

static int get_quote(struct measure *m, const uint8_t report[TDX_REPORT_SIZE], uint8_t **ret, size_t *ret_size,
		     char *error, size_t error_size)
{
	struct backoff backoff = {.minimum_ms = 500, .maximum_ms = 4000};
	int r = -EIO;

	for (int i = 0; i < QUOTE_TRIES; i++) {
		if (m->found.cloud) {
			r = m->found.cloud->get_quote(report, ret, ret_size, error, error_size);
		} else {
			r = tdx_get_quote(&devices, report + TDX_REPORTDATA_AT, ret, ret_size);
			snprintf(error, error_size, "configfs-tsm: %s", strerror(-r));
		}
		if (r == 0 || r == -ENOENT || i + 1 == QUOTE_TRIES)
			break;
		time_wait_ms(backoff_next_ms(&backoff));
	}
	return r;
}

/*
 * The boot does not hang on a quote yet: what needs one asks for it again, with its own nonce. So a failure here is
 * a warning that an operator sees before it matters.
 */
static void say_evidence(struct measure *m)
{
	char report_field[80] = "", quote_field[80] = "", mrtd_field[120] = "mrtd=", size_field[40] = "";
	const char *fields[] = {report_field, mrtd_field, quote_field, size_field, NULL};
	uint8_t report[TDX_REPORT_SIZE], *quote = NULL;
	size_t quote_size = 0;
	char error[300];

	if (get_report(m, report, error, sizeof(error)) < 0) {
		report_event(EVENT_WARNING, "report not read: %s", error);
		return;
	}
	digest_field("report", report, sizeof(report), report_field, sizeof(report_field));
	hex_encode(report + TDX_MRTD_AT, TDX_MRTD_SIZE, mrtd_field + strlen("mrtd="));
	if (get_quote(m, report, &quote, &quote_size, error, sizeof(error)) < 0) {
		fields[2] = NULL;
		report_fields(EVENT_INFO, fields, "report read");
		report_event(EVENT_WARNING, "quote not read: %s", error);
		return;
	}
	digest_field("quote", quote, quote_size, quote_field, sizeof(quote_field));
	snprintf(size_field, sizeof(size_field), "quote_bytes=%zu", quote_size);
	report_fields(EVENT_INFO, fields, "report and quote read");
	free(quote);
}

/* The registers as they are when this stage ends; PCR 15 is the disk's, which may still be to come. */
static void tell_pcrs(struct measure *m)
{
	static const unsigned pcrs[] = {4, 9, 11, 14, 15};

	for (size_t i = 0; m->tpm && i < sizeof(pcrs) / sizeof(*pcrs); i++) {
		uint8_t digest[TPM_DIGEST_SIZE];
		char hex[2 * TPM_DIGEST_SIZE + 1], key[16];

		if (tpm_pcr_read(m->tpm, pcrs[i], digest) < 0)
			return;
		hex_encode(digest, sizeof(digest), hex);
		snprintf(key, sizeof(key), "pcr%u", pcrs[i]);
		report_fact(key, "%s", hex);
	}
}

/* On Azure the report is the one the machine was started with. */
static void tell_facts(struct measure *m)
{
	uint8_t report[TDX_REPORT_SIZE];
	char hex[2 * TDX_RTMR_SIZE + 1], key[16], error[300];

	report_fact("platform", "%s", m->found.name);
	tell_pcrs(m);
	if (is_plain(m) || get_report(m, report, error, sizeof(error)) < 0)
		return;
	hex_encode(report + TDX_MRTD_AT, TDX_MRTD_SIZE, hex);
	report_fact("mrtd", "%s", hex);
	for (unsigned i = 0; i < 4; i++) {
		hex_encode(report + TDX_RTMR_AT + i * TDX_RTMR_SIZE, TDX_RTMR_SIZE, hex);
		snprintf(key, sizeof(key), "rtmr%u", i);
		report_fact(key, "%s", hex);
	}
}

static int take_artifact(struct measure *m, const char *artifact)
{
	_cleanup_(cleanup_close) int fd = -1;
	int r = report_take(artifact, -1, &fd);

	if (r == -ENOENT) {
		report_result("artifact %s is not available, nothing to measure", artifact);
		return STAGE_NEVER;
	}
	if (r == 0)
		r = secret_read(fd, ARTIFACT_SIZE_MAX, &m->artifact);
	if (r < 0) {
		report_result("artifact %s not received: %s", artifact, strerror(-r));
		return STAGE_AGAIN;
	}
	return STAGE_DONE;
}

static int extend_pcr(struct measure *m, const char *artifact)
{
	uint8_t digest[32];
	char hex[65];
	int r;

	if (!m->tpm) {
		report_result("PCR %d: no TPM: %s", TPM_PCR_MEASURE, strerror(-m->tpm_error));
		return STAGE_AGAIN;
	}
	mbedtls_sha256(m->artifact.bytes, m->artifact.size, digest, 0);
	r = tpm_measure(m->tpm, digest);
	if (r < 0) {
		report_result("PCR %d not extended: %s", TPM_PCR_MEASURE, tpm_reason(m->tpm));
		return STAGE_AGAIN;
	}
	hex_encode(digest, sizeof(digest), hex);
	report_result("platform %s, PCR %d extended with %s %.16s...", m->found.name, TPM_PCR_MEASURE, artifact,
		      hex);
	return STAGE_DONE;
}

static int extend_rtmr(struct measure *m, const char *artifact, bool required)
{
	uint8_t digest[48];
	char hex[97];
	int r;

	mbedtls_sha512(m->artifact.bytes, m->artifact.size, digest, 1);
	r = tdx_extend_rtmr3(&devices, digest);
	if (r == -ENOENT && !required) {
		report_event(EVENT_NOTICE, "kernel has no RTMR interface: %s not recorded", artifact);
		report_result("platform %s, nothing extended", m->found.name);
		return STAGE_DONE;
	}
	if (r < 0) {
		report_result("RTMR 3 not extended: %s", strerror(-r));
		return r == -ENOENT ? STAGE_NEVER : STAGE_AGAIN;
	}
	hex_encode(digest, sizeof(digest), hex);
	report_result("platform %s, RTMR 3 extended with %s %.16s...", m->found.name, artifact,
		      hex);
	return STAGE_DONE;
}

static int extend(struct measure *m, const char *artifact)
{
	bool automatic = strcmp(m->target, "auto") == 0;
	int r;

	if (strcmp(m->target, "none") == 0 || (automatic && is_plain(m) && !m->tpm)) {
		report_result("platform %s", m->found.name);
		return STAGE_DONE;
	}
	r = take_artifact(m, artifact);
	if (r != STAGE_DONE)
		return r;
	if (strcmp(m->target, "rtmr3") == 0 || (automatic && m->found.is_tdx))
		return extend_rtmr(m, artifact, !automatic);
	return extend_pcr(m, artifact);
}

/* The interfaces of TDX belong to root. Who finds no account there gives its reason with the rights. */
static int prepare(struct stage_context *context)
{
	uid_t uid;
	gid_t gid;
	bool known = account_user(PASSWD, USER, &uid, &gid) == 0;

	tdx_open(&devices, known && context->mode == STAGE_BOOT ? context->name : NULL, known ? uid : 0);
	return STAGE_DONE;
}

static int run(struct stage_context *context)
{
	static struct measure m;
	char platform_field[32];
	const char *fields[] = {platform_field, NULL};
	int r;

	m.target = option_string(context, "target");
	m.tpm_error = tpm_open(&m.tpm);
	platform_detect(m.tpm, &m.found);
	snprintf(platform_field, sizeof(platform_field), "platform=%s", m.found.name);
	report_event(EVENT_DEBUG, "%s", m.found.why);
	report_fields(EVENT_INFO, fields, "platform %s", m.found.name);
	if (!is_plain(&m) && context->mode == STAGE_BOOT)
		say_evidence(&m);
	r = extend(&m, option_string(context, "artifact"));
	tell_facts(&m);
	secret_wipe(&m.artifact);
	tpm_close(m.tpm);
	tdx_close(&devices);
	return r;
}

static const char *const targets[] = {"auto", "pcr14", "rtmr3", "none", NULL};
static const char *const artifacts[] = {"config", NULL};

static const struct stage_option options[] = {
	{.name = "artifact", .type = OPTION_STRING, .choices = artifacts, .fallback = "config"},
	{.name = "target", .type = OPTION_STRING, .choices = targets, .fallback = "auto"},
	{0},
};

static const char *const takes[] = {"config", NULL};

static const struct stage_path paths[] = {
	{.path = TSM_REPORTS, .access = STAGE_WRITES},
	{.path = "/sys/class/dmi/id/chassis_asset_tag", .access = STAGE_READS},
	{0},
};

const struct stage stage_measure = {
	.type = "measure",
	.takes = takes,
	.options = options,
	.section = "measurements",
	.once = true,
	.refresh = STAGE_MEASURES,
	.tpm = STAGE_TPM_MEASURE,
	.deadline_s = 180,
	.retry_limit = 5,
	.user = USER,
	.calls = STAGE_CALLS_FETCH | STAGE_CALLS_DEVICES,
	.paths = paths,
	.prepare = prepare,
	.run = run,
};
