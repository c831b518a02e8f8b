/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot chart: what each bar and each word is, that nothing a peer says becomes markup, and how large it can get.
 * That a browser's XML parser takes it is tested with the page.
 */
/* links: api init/lib show */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init/api/chart.h"
#include "test.h"

#define S 1000000000LL

static struct status status;

static struct control_node *node(const char *name, enum node_kind kind, enum node_state state)
{
	struct control_node *n = &status.nodes[status.n_nodes++];

	*n = (struct control_node){.kind = (uint8_t)kind, .state = (uint8_t)state, .attempts = 1};
	snprintf(n->name, sizeof(n->name), "%s", name);
	return n;
}

/* NUL-terminated; freed by the end of the test's process. */
static const char *drawn(void)
{
	static struct text t;

	free(t.bytes);
	t = (struct text)TEXT_GROWING(CHART_MAX);
	chart_svg(&t, &status);
	CHECK(!t.cut);
	text_add(&t, "", 1);
	return t.bytes;
}

static void begin(enum boot_state state, int64_t ended_ns)
{
	status = (struct status){.boot = {.state = (uint8_t)state, .started_ns = S, .ended_ns = ended_ns, .now_ns = 100 * S,
					  .hostname = "host", .version = "1.2"}};
}

static size_t count(const char *in, const char *what)
{
	size_t n = 0;

	for (const char *at = in; (at = strstr(at, what)) != NULL; at += strlen(what))
		n++;
	return n;
}

#define HAS(what)  CHECK(strstr(drawn(), what))
#define LACKS(what) CHECK(!strstr(drawn(), what))

TEST(a_done_stage_is_one_bar_with_what_it_took_and_its_state)
{
	struct control_node *n;

	begin(BOOT_BOOTED, 10 * S);
	n = node("disk", NODE_STAGE, NODE_DONE);
	n->first_started_ns = n->started_ns = 2 * S;
	n->ended_ns = 4 * S;
	/* 508 units are 10 s. */
	HAS("<rect class=\"done\" x=\"301.6\" y=\"");
	HAS("width=\"101.6\" height=\"12\"/>");
	HAS(">disk</text>");
	HAS(">2.00 s</text>");
	HAS(">done</text>");
	HAS("<title>disk: done, began after 2.00 s, took 2.00 s</title>");
	LACKS("class=\"early\"");
	LACKS("class=\"life\"");
}

TEST(earlier_tries_are_lighter_and_counted)
{
	struct control_node *n;

	begin(BOOT_BOOTED, 10 * S);
	n = node("config", NODE_STAGE, NODE_DONE);
	n->first_started_ns = 2 * S;
	n->started_ns = 6 * S;
	n->ended_ns = 7 * S;
	n->attempts = 3;
	HAS("<rect class=\"early\" x=\"301.6\"");
	HAS("<rect class=\"done\" x=\"504.8\"");
	HAS(">done, 3 attempts</text>");
	HAS(">5.00 s</text>");
	HAS(">earlier attempts</text>");
}

TEST(a_ready_service_lives_on_as_a_thin_line)
{
	struct control_node *n;

	begin(BOOT_BOOTED, 10 * S);
	n = node("reth", NODE_SERVICE, NODE_READY);
	n->first_started_ns = n->started_ns = 2 * S;
	n->ended_ns = 4 * S;
	HAS("<rect class=\"ready\" x=\"301.6\"");
	HAS("<rect class=\"life\" x=\"403.2\"");
	HAS("width=\"304.8\" height=\"2\"/>");
}

TEST(a_service_started_again_after_the_boot_is_at_the_edge)
{
	struct control_node *n;

	begin(BOOT_BOOTED, 10 * S);
	n = node("reth", NODE_SERVICE, NODE_READY);
	n->first_started_ns = 2 * S;
	n->started_ns = 50 * S;
	n->ended_ns = 53 * S;
	n->attempts = 2;
	HAS("<rect class=\"ready\" x=\"706.0\"");
	HAS(">3.00 s</text>");
	HAS(">ready, 2 starts</text>");
	CHECK_INT(count(drawn(), "class=\"life\""), 1);	/* in the legend */
}

TEST(what_runs_reaches_until_now)
{
	struct control_node *n;

	begin(BOOT_BOOTING, 0);
	n = node("snapshot", NODE_STAGE, NODE_RUNNING);
	n->first_started_ns = n->started_ns = 50 * S;
	HAS("<rect class=\"running\" x=\"454.0\"");
	HAS("width=\"254.0\"");
	HAS(">booting, up 1 min 40 s; gantry 1.2</text>");
}

TEST(a_stage_that_goes_on_after_the_boot_was_held_stretches_the_axis)
{
	struct control_node *n;

	begin(BOOT_HELD, 10 * S);
	n = node("snapshot", NODE_STAGE, NODE_RUNNING);
	n->first_started_ns = n->started_ns = 50 * S;
	HAS("<rect class=\"running\" x=\"454.0\"");
}

TEST(a_late_start_of_pid_1_does_not_push_everything_to_the_edge)
{
	struct control_node *n;

	begin(BOOT_BOOTED, 1010 * S);
	status.boot.started_ns = 1000 * S;
	n = node("disk", NODE_STAGE, NODE_DONE);
	n->first_started_ns = n->started_ns = 1002 * S;
	n->ended_ns = 1004 * S;
	HAS("<rect class=\"done\" x=\"301.6\"");
	HAS("width=\"101.6\"");
	HAS(">1008</text>");
	LACKS(">0</text>");
	status.boot.started_ns = 600 * S;
	HAS(">0</text>");
}

TEST(what_never_started_has_no_bar_but_its_word)
{
	begin(BOOT_BOOTING, 0);
	node("services", NODE_STAGE, NODE_WAITING);
	HAS(">waiting</text>");
	CHECK_INT(count(drawn(), "<rect"), 0);
}

TEST(trouble_says_why_and_success_only_in_its_title)
{
	struct control_node *n;

	begin(BOOT_HELD, 10 * S);
	snprintf(status.boot.reason, sizeof(status.boot.reason), "disk: no key");
	n = node("disk", NODE_STAGE, NODE_FAILED);
	n->first_started_ns = n->started_ns = 2 * S;
	n->ended_ns = 4 * S;
	snprintf(n->reason, sizeof(n->reason), "no key for lun 10");
	n = node("network", NODE_STAGE, NODE_DONE);
	snprintf(n->reason, sizeof(n->reason), "10.0.0.4/24");
	HAS(">disk: no key</text>");
	HAS(">no key for lun 10</text>");
	HAS(": 10.0.0.4/24</title>");
	LACKS(">10.0.0.4/24</text>");
}

TEST(a_long_reason_is_broken_between_words_and_nothing_of_it_is_lost)
{
	begin(BOOT_HELD, 10 * S);
	for (size_t i = 0; i < NODE_REASON_MAX - 1; i++)
		status.boot.reason[i] = i % 10 == 9 ? ' ' : (char)('a' + i / 10);
	CHECK_INT(count(drawn(), "<text class=\"b\""), 3);
	HAS(">aaaaaaaaa bbbbbbbbb ");
	HAS("jjjjjjjjj</text>");
	HAS(">kkkkkkkkk ");
	HAS("zzzzz</text>");
}

TEST(ticks_are_round_and_few_for_every_length)
{
	static const int64_t spans[] = {1, 1000, S / 1000, S / 3, S, 7 * S, 10 * S, 59 * S, 61 * S, 1000 * S, 86400 * S,
					40 * 86400LL * S, INT64_MAX / 2};

	for (size_t i = 0; i < sizeof(spans) / sizeof(*spans); i++) {
		begin(BOOT_BOOTED, spans[i]);
		CHECK(count(drawn(), "class=\"s m n\"") >= 1 && count(drawn(), "class=\"s m n\"") <= 9);
	}
	begin(BOOT_BOOTED, 7 * S + S / 2);
	HAS(">7</text>");
	HAS("seconds since the machine started");
	begin(BOOT_BOOTED, 30 * 60 * S);
	HAS(">25</text>");
	HAS("minutes since the machine started");
}

TEST(nothing_that_is_told_becomes_markup)
{
	const char *hostile = "</text><script>alert(\"1\")</script>&'";
	struct control_node *n;

	begin(BOOT_HELD, 10 * S);
	snprintf(status.boot.hostname, sizeof(status.boot.hostname), "%s", hostile);
	snprintf(status.boot.version, sizeof(status.boot.version), "%.31s", hostile);
	snprintf(status.boot.reason, sizeof(status.boot.reason), "%s", hostile);
	n = node("<b>&\"'", NODE_STAGE, NODE_FAILED);
	snprintf(n->reason, sizeof(n->reason), "%s", hostile);
	LACKS("<script");
	LACKS("<b>");
	HAS(">&lt;b&gt;&amp;&quot;&#39;</text>");
	HAS(">&lt;/text&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;</text>");
}

TEST(a_long_name_is_shortened_between_characters)
{
	begin(BOOT_BOOTING, 0);
	node("ääääääääääääääää", NODE_STAGE, NODE_WAITING);	/* as many as fit into 31 bytes, and half of one */
	status.nodes[0].name[30] = '\0';
	HAS(">äääääääääääääää</text>");
	snprintf(status.nodes[0].name, sizeof(status.nodes[0].name), "abcdefghijklmnopqrstuvwxyz01234");
	HAS(">abcdefghijklmnopqrstuvwx…</text>");
}

TEST(the_largest_picture_fits)
{
	begin(BOOT_HELD, INT64_MAX / 2);
	memset(status.boot.reason, '"', sizeof(status.boot.reason) - 1);
	while (status.n_nodes < STATUS_NODES_MAX) {
		struct control_node *n = node("", NODE_STAGE, NODE_FAILED);

		n->attempts = UINT32_MAX;
		n->first_started_ns = 1;
		n->started_ns = n->ended_ns = INT64_MAX / 2;
		memset(n->name, '"', sizeof(n->name) - 1);
		memset(n->reason, '"', sizeof(n->reason) - 1);
	}
	CHECK(strstr(drawn(), "</svg>\n"));
	CHECK(strlen(drawn()) < CHART_MAX / 2);
}
