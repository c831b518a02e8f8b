/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `azure`: reports to the platform that this machine is provisioned (Ready), or why not (NotReady with the
 * reason of the held boot). It reads the goal state, then posts one health report with the ids found there. Transient
 * failures are retried within the attempt, 1 to 15 s apart; when its time is over the attempt exits with 75, and the
 * plan retries the stage.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "cloud.h"
#include "goalstate.h"
#include "stages/lib/backoff.h"
#include "stages/lib/http.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"

#define WIRESERVER     "168.63.129.16"
#define CONNECT_MS     5000
#define REQUEST_MS     10000
#define PATIENCE_MS    240000	/* of one attempt; below the stage's deadline, so that we end with a reason */
#define REASON_MAX     4096

struct azure {
	const char *state;
	char server[64];
	char agent_header[128];
	char description[REASON_MAX + 1];	/* empty: Ready */
	struct goalstate goalstate;
	bool has_goalstate;
	char failure[400];			/* of the latest try */
};

enum outcome {
	OUTCOME_OK,
	OUTCOME_AGAIN,		/* transient */
	OUTCOME_REREAD,		/* the goal state has moved on */
	OUTCOME_STOP,		/* refused: no retry can help */
};

/* The address of DHCP option 245, as the hook wrote it; else the well-known address. */
static void find_server(struct azure *a, const char *option)
{
	_cleanup_(cleanup_fclose) FILE *f = NULL;
	char line[256];

	snprintf(a->server, sizeof(a->server), "%s", option[0] ? option : WIRESERVER);
	if (option[0])
		return;
	f = fopen(DHCP_LEASE, "re");
	while (f && fgets(line, sizeof(line), f)) {
		struct in_addr address;

		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "wireserver=", 11) == 0 && inet_pton(AF_INET, line + 11, &address) == 1)
			inet_ntop(AF_INET, &address, a->server, sizeof(a->server));
	}
}

static enum outcome judge(struct azure *a, const char *what, const struct http_response *response, bool posted)
{
	long s = response->status;

	if (s == 200 || s == 201 || s == 202)
		return OUTCOME_OK;
	snprintf(a->failure, sizeof(a->failure), "%s: %s answered %ld", what, a->server, s);
	if (posted && (s == 404 || s == 410))
		return OUTCOME_REREAD;
	return s == 401 || s == 403 || s == 405 ? OUTCOME_STOP : OUTCOME_AGAIN;
}

/* Sends a request to that path of the server and judges the answer, which is the caller's to free. */
static enum outcome ask(struct azure *a, const char *what, const char *path, struct http_request request,
			struct http_response *ret)
{
	char url[160];

	snprintf(url, sizeof(url), "http://%s%s", a->server, path);
	request.url = url;
	request.connect_timeout_ms = CONNECT_MS;
	request.timeout_ms = REQUEST_MS;
	request.maximum_bytes = GOALSTATE_SIZE_MAX;
	if (http_perform(&request, ret) < 0) {
		snprintf(a->failure, sizeof(a->failure), "%s: %s: %s", what, a->server, ret->error);
		return OUTCOME_AGAIN;
	}
	return judge(a, what, ret, request.body != NULL);
}

static enum outcome get_goalstate(struct azure *a)
{
	char why[160];
	const char *headers[] = {a->agent_header, "x-ms-version: 2012-11-30", NULL};
	struct http_request request = {.method = "GET", .headers = headers};
	struct http_response response = {0};
	enum outcome outcome = ask(a, "goal state", "/machine/?comp=goalstate", request, &response);

	if (outcome == OUTCOME_OK) {
		if (goalstate_parse(response.body, response.body_size, &a->goalstate, why, sizeof(why)) < 0) {
			snprintf(a->failure, sizeof(a->failure), "goal state refused: %s", why);
			outcome = OUTCOME_AGAIN;
		} else {
			a->has_goalstate = true;
		}
	}
	http_response_free(&response);
	return outcome;
}

static enum outcome post_health(struct azure *a)
{
	static char body[HEALTH_SIZE_MAX];
	const char *headers[] = {
		a->agent_header, "x-ms-version: 2012-11-30", "Content-Type: text/xml; charset=utf-8", NULL,
	};
	struct http_request request = {.method = "POST", .headers = headers, .body = body};
	struct http_response response = {0};
	enum outcome outcome;
	int n;

	n = health_format(&a->goalstate, a->description[0] ? a->description : NULL, body, sizeof(body));
	if (n < 0) {
		snprintf(a->failure, sizeof(a->failure), "health report is too long");
		return OUTCOME_STOP;
	}
	request.body_size = (size_t)n;
	outcome = ask(a, "health report", "/machine?comp=health", request, &response);
	http_response_free(&response);
	return outcome;
}

static enum outcome try_once(struct azure *a)
{
	enum outcome outcome;

	if (!a->has_goalstate) {
		outcome = get_goalstate(a);
		if (outcome != OUTCOME_OK)
			return outcome;
	}
	outcome = post_health(a);
	if (outcome == OUTCOME_REREAD) {
		a->has_goalstate = false;
		return OUTCOME_AGAIN;
	}
	return outcome;
}

static int take_reason(struct azure *a)
{
	_cleanup_(cleanup_close) int fd = -1;
	ssize_t n;
	int r;

	r = report_take("held-reason", 10000, &fd);
	if (r < 0)
		return r;
	n = pread(fd, a->description, REASON_MAX, 0);
	if (n < 0)
		return -errno;
	a->description[n] = '\0';
	return 0;
}

static int run(struct stage_context *context)
{
	static struct azure a;
	struct backoff backoff = {.minimum_ms = 1000, .maximum_ms = 15000};
	int64_t end = time_now_ms() + PATIENCE_MS;

	a.state = option_string(context, "state");
	snprintf(a.agent_header, sizeof(a.agent_header), "x-ms-agent-name: %s",
		 option_string(context, "agent"));
	find_server(&a, option_string(context, "wireserver"));
	if (strcmp(a.state, "NotReady") == 0 && (take_reason(&a) < 0 || !a.description[0]))
		snprintf(a.description, sizeof(a.description), "boot held");
	for (int tries = 1;; tries++) {
		enum outcome outcome = try_once(&a);
		int64_t wait;

		if (outcome == OUTCOME_OK) {
			report_result("%s accepted by %s, incarnation %s", a.state, a.server, a.goalstate.incarnation);
			return STAGE_DONE;
		}
		report_result("%s", a.failure);
		if (outcome == OUTCOME_STOP)
			return STAGE_NEVER;
		wait = backoff_next_ms(&backoff);
		if (time_now_ms() + wait + CONNECT_MS > end)
			return STAGE_AGAIN;
		report_event(EVENT_WARNING, "%s; try %d in %.1f s", a.failure, tries + 1, (double)wait / 1000);
		time_wait_ms(wait);
	}
}

static const char *const states[] = {"Ready", "NotReady", NULL};

static const struct stage_option options[] = {
	{.name = "state", .type = OPTION_STRING, .choices = states, .fallback = "Ready"},
	{.name = "wireserver", .type = OPTION_STRING, .maximum = 63, .fallback = ""},
	{.name = "agent", .type = OPTION_STRING, .minimum = 1, .maximum = 64, .fallback = "gantry"},
	{0},
};

static const char *const takes[] = {"held-reason", NULL};

static const struct stage_path paths[] = {
	{.path = DHCP_LEASE, .access = STAGE_READS, .folder = true},
	{0},
};

const struct stage stage_azure = {
	.type = "azure",
	.takes = takes,
	.options = options,
	.deadline_s = 300,
	.retry_limit = 0,
	.user = "gantry-azure",
	.calls = STAGE_CALLS_FETCH,
	.paths = paths,
	.run = run,
};
