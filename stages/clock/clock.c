/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `clock`: done once chronyd, which runs as a service, has a reference and the clock is within a bound of it.
 * chronyd offers no notification, so it is polled: often while the boot waits for it, less often later. If it never
 * synchronises, the image's `on_timeout` decides: a warning, or a failed stage.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include <gantry/stage.h>

#include "chrony.h"
#include "stages/lib/backoff.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"

#define ASK_FIRST_MS   20
#define ASK_FAST_MS    250
#define ASK_SLOW_MS    1000
#define FIRST_FOR_MS   2000	/* by then a source that answers at once is there */
#define FAST_FOR_MS    10000
#define ANSWER_MS      1000
#define SAY_EVERY_MS   10000

struct clock {
	const char *address;
	double max_offset_s;
	struct chrony chrony;
	bool open;
	struct chrony_tracking tracking;
	char missing[256];
};

static double magnitude(double x)
{
	return x < 0 ? -x : x;
}

static int64_t pause_ms(int64_t since_ms)
{
	return since_ms < FIRST_FOR_MS ? ASK_FIRST_MS : since_ms < FAST_FOR_MS ? ASK_FAST_MS : ASK_SLOW_MS;
}

static int ask(struct clock *c)
{
	int r = c->open ? 0 : chrony_open(c->address, &c->chrony);

	if (r < 0)
		return r;
	if (!c->open && c->address[0] == '/') {
		/* We run because the network is there: a chronyd that was started before need not find out itself. */
		r = chrony_online(&c->chrony, ANSWER_MS);
		if (r < 0 && r != -ETIMEDOUT)
			report_event(EVENT_DEBUG, "chronyd not set online: %s", strerror(-r));
	}
	c->open = true;
	r = chrony_ask(&c->chrony, ANSWER_MS, &c->tracking);
	if (r < 0 && r != -ETIMEDOUT) {
		chrony_close(&c->chrony);	/* a chronyd that was restarted has a new socket behind the old name */
		c->open = false;
	}
	return r;
}

/* True once synchronised; otherwise `missing` names the missing condition. */
static bool look(struct clock *c)
{
	int r = ask(c);

	if (r == -ENOENT || r == -ECONNREFUSED)
		snprintf(c->missing, sizeof(c->missing), "chronyd is not running (%s)", c->address);
	else if (r == -EACCES || r == -EPERM)
		snprintf(c->missing, sizeof(c->missing), "chronyd's socket %s refuses this user: its folder must "
			 "belong to chronyd's group, and both be writable for it", c->address);
	else if (r == -EPROTONOSUPPORT)
		snprintf(c->missing, sizeof(c->missing), "chronyd uses an unsupported protocol version");
	else if (r < 0)
		snprintf(c->missing, sizeof(c->missing), "chronyd does not answer (%s): %s", c->address, strerror(-r));
	else if (!chrony_has_reference(&c->tracking))
		snprintf(c->missing, sizeof(c->missing), "not synchronised: no time source selected yet");
	else if (magnitude(c->tracking.correction_s) > c->max_offset_s)
		snprintf(c->missing, sizeof(c->missing), "offset %+.6f s is more than %g s", c->tracking.correction_s,
			 c->max_offset_s);
	else
		return true;
	return false;
}

static void tell_facts(const struct clock *c)
{
	report_fact("synchronised", "true");
	report_fact("offset_s", "%.9f", c->tracking.correction_s);
	report_fact("stratum", "%u", c->tracking.stratum);
	report_fact("source", "%s", c->tracking.source[0] ? c->tracking.source : "local clock");
}

static int end_without(const struct clock *c, const char *on_timeout, int timeout_s)
{
	if (strcmp(on_timeout, "fail") == 0) {
		report_result("%s after %d s", c->missing, timeout_s);
		return STAGE_AGAIN;
	}
	report_event(EVENT_WARNING, "%s after %d s: continuing with the clock as it is", c->missing, timeout_s);
	report_fact("synchronised", "false");
	report_result("not synchronised: %s", c->missing);
	return STAGE_DONE;
}

static int run(struct stage_context *context)
{
	static struct clock c;
	const char *on_timeout = option_string(context, "on_timeout");
	int timeout_s = (int)option_integer(context, "timeout_s");
	int64_t started = time_now_ms(), next_say = started + SAY_EVERY_MS;
	int64_t end = timeout_s ? started + (int64_t)timeout_s * 1000 : INT64_MAX;
	char said[sizeof(c.missing)] = "";

	c.address = option_string(context, "socket");
	c.max_offset_s = option_number(context, "max_offset_s");
	report_event(EVENT_DEBUG, "asking chronyd at %s every %d to %d ms: it offers no notification", c.address,
		     ASK_FIRST_MS, ASK_SLOW_MS);
	while (!look(&c)) {
		int64_t now = time_now_ms();

		if (strcmp(said, c.missing) != 0) {
			report_result("%s", c.missing);
			memcpy(said, c.missing, sizeof(said));
		}
		if (now >= end) {
			if (c.open)
				chrony_close(&c.chrony);
			return end_without(&c, on_timeout, timeout_s);
		}
		if (now >= next_say) {
			report_event(EVENT_WARNING, "after %d s: %s", (int)((now - started) / 1000), c.missing);
			next_say += SAY_EVERY_MS;
		}
		time_wait_ms(pause_ms(now - started));
	}
	chrony_close(&c.chrony);
	tell_facts(&c);
	report_result("offset %+.6f s, stratum %u, source %s", c.tracking.correction_s, c.tracking.stratum,
		      c.tracking.source[0] ? c.tracking.source : "local clock");
	return STAGE_DONE;
}

static const char *const outcomes[] = {"continue", "fail", NULL};

static const struct stage_option options[] = {
	{.name = "max_offset_s", .type = OPTION_NUMBER, .minimum = 0, .maximum = 86400, .fallback = "1.0"},
	{.name = "on_timeout", .type = OPTION_STRING, .choices = outcomes, .fallback = "continue"},
	{.name = "timeout_s", .type = OPTION_INTEGER, .minimum = 0, .maximum = 86400, .fallback = "60"},
	{.name = "socket", .type = OPTION_STRING, .minimum = 1, .maximum = 90, .fallback = CHRONY_SOCKET},
	{0},
};

static const char *const numbers[] = {"stratum", NULL};
static const char *const truths[] = {"synchronised", NULL};

static const struct stage_path paths[] = {
	/* chronyd answers to a name beside its own socket */
	{.option = "socket", .access = STAGE_WRITES, .folder = true, .group = true},
	{0},
};

const struct stage stage_clock = {
	.type = "clock",
	.options = options,
	.section = "clock",
	.numbers = numbers,
	.truths = truths,
	.deadline_s = 0,	/* its own timeout_s ends it, `on_timeout` decides how */
	.retry_limit = 0,
	.user = "gantry-clock",
	.calls = STAGE_CALLS_UNIX | STAGE_CALLS_UDP,
	.paths = paths,
	.run = run,
};
