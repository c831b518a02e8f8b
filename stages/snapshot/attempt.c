/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reports of a snapshot's progress and failures: bytes, speed and time left each second; failures of the store at once
 * and then rarely, with a count; and the result of an attempt.
 */
#define _GNU_SOURCE
#include "attempt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stages/lib/backoff.h"
#include "stages/lib/report.h"

#define TROUBLE_S 30	/* between two events about a store that fails */

static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };

static unsigned unit_of(uint64_t bytes)
{
	unsigned unit = 0;

	while (unit < 4 && bytes >= UINT64_C(10240) << (10 * unit))
		unit++;
	return unit;
}

const char *attempt_human(uint64_t bytes, char ret[static 32])
{
	unsigned unit = unit_of(bytes);

	snprintf(ret, 32, "%" PRIu64 " %s", bytes >> (10 * unit), units[unit]);
	return ret;
}

/* Bytes in the files: those the journal has, and those the workers have written so far. */
static uint64_t bytes_here(const struct snapshot *s)
{
	uint64_t bytes = s->manifest.done;

	for (unsigned i = 0; i < s->settings->connections; i++)
		if (s->workers[i].busy)
			bytes += atomic_load_explicit(&s->received[i], memory_order_relaxed);
	return bytes < s->manifest.total ? bytes : s->manifest.total;
}

void attempt_tell_progress(struct snapshot *s, int64_t elapsed_ms)
{
	uint64_t here = bytes_here(s), total = s->manifest.total;
	unsigned unit = unit_of(total);
	uint32_t eta_s = UINT32_MAX;

	if (elapsed_ms > 0) {
		double now = here > s->last_bytes ? (double)(here - s->last_bytes) * 1000 / (double)elapsed_ms : 0;

		/* Smoothed over some ten seconds; the first value as it is. */
		s->per_second = s->per_second > 0 ? 0.8 * s->per_second + 0.2 * now : now;
	}
	s->last_bytes = here;
	if (s->per_second >= 1 && (double)(total - here) / s->per_second < 1e9)
		eta_s = (uint32_t)((double)(total - here) / s->per_second + 0.5);
	report_progress(here, total, (uint64_t)s->per_second, eta_s, "%" PRIu64 " of %" PRIu64 " %s",
			here >> (10 * unit), total >> (10 * unit), units[unit]);
}

/* A failure of the store is reported at once, and then from time to time. */
void attempt_tell_trouble(struct snapshot *s, const char *text)
{
	int64_t now = time_now_ms();

	memcpy(s->trouble, text, sizeof(s->trouble));
	s->troubles++;
	if (s->troubled_ms && now - s->troubled_ms < TROUBLE_S * 1000)
		return;
	if (s->troubled_ms && s->troubles > 1)
		report_event(EVENT_WARNING, "%s; trying again (%u failures since the last report)", text, s->troubles);
	else
		report_event(EVENT_WARNING, "%s; trying again", text);
	s->troubled_ms = now;
	s->troubles = 0;
}

int attempt_end_refused(const struct worker_answer *a)
{
	report_result("%s", a->text);
	/*
	 * Paths that no honest store would list, and what is wrong on our side; all else may be mended at the
	 * store.
	 */
	return a->result == -EPERM || a->result == -EINVAL ? STAGE_NEVER : STAGE_AGAIN;
}

/* A full disk is not for good: whether the snapshot fits at all is asked before each transfer. */
int attempt_end_disk(int result, const char *text)
{
	report_result("%s", text);
	switch (result) {
	case -EFBIG:
	case -EROFS:
	case -EEXIST:
	case -EPERM:
	case -EXDEV:
	case -ENOTDIR:
	case -ELOOP:
		return STAGE_NEVER;
	default:
		return STAGE_AGAIN;
	}
}
