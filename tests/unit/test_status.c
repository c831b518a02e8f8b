/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a reader makes of PID 1's answers: messages that are not whole are refused, facts keep their types whatever
 * their values look like, and the three forms show what was told.
 */
/* links: ctl show init/lib */
#include "init/plan/refresh.h"
#include "init/ctl/screen.h"
#include "init/show/status.h"
#include "fake_stages.h"
#include "test.h"

#define S INT64_C(1000000000)

static struct status status;
static struct text shown;

static void boot(void)
{
	struct control_boot b = {.now_ns = 60 * S, .started_ns = S / 2, .ended_ns = 5 * S, .state = BOOT_BOOTED,
				 .events = 7, .children = 2, .version = "9", .hostname = "h", .kernel = "6.12",
				 .image_name = "web", .image_version = "1.2.3",
				 .events_by_level = {1, 2, 3, 0, 1}};

	CHECK_INT(status_take(&status, CONTROL_BOOT, &b, sizeof(b)), 0);
}

static struct control_node *node(const char *name, const char *type, enum node_state state)
{
	struct control_node n = {.kind = strcmp(type, "service") ? NODE_STAGE : NODE_SERVICE, .state = state,
				 .first_started_ns = 2 * S, .started_ns = 3 * S, .attempts = 3, .required = 1};

	snprintf(n.name, sizeof(n.name), "%s", name);
	snprintf(n.type, sizeof(n.type), "%s", type);
	CHECK_INT(status_take(&status, CONTROL_NODE, &n, sizeof(n)), 0);
	return &status.nodes[status.n_nodes - 1];
}

#define FACTS(bytes) status_take(&status, CONTROL_FACTS, bytes, sizeof(bytes))

static const char *json(void)
{
	shown = (struct text)TEXT_GROWING(STATUS_JSON_MAX);
	status_json(&shown, &status);
	text_add(&shown, "", 1);
	CHECK(!shown.cut);
	return shown.bytes;
}

static const char *table(void)
{
	shown = (struct text)TEXT_GROWING(STATUS_JSON_MAX);
	screen_status(&shown, &status);
	text_add(&shown, "", 1);
	return shown.bytes;
}

#define HAS(part) CHECK(strstr(shown.bytes, part) != NULL)

TEST(facts_belong_to_the_node_before_them)
{
	boot();
	CHECK_INT(FACTS("a=1"), -EBADMSG);	/* of no node */
	node("one", "exec", NODE_DONE);
	CHECK_INT(FACTS("a=1\0b=x y"), 0);
	node("two", "exec", NODE_DONE);
	CHECK_STR(status_fact(&status.facts[0], "a"), "1");
	CHECK_STR(status_fact(&status.facts[0], "b"), "x y");
	CHECK(status_fact(&status.facts[0], "c") == NULL);
	CHECK_INT(status.facts[1].size, 0);
	boot();					/* and the next collection has none of them */
	node("one", "exec", NODE_DONE);
	CHECK_INT(status.facts[0].size, 0);
}

TEST(facts_that_are_not_whole_are_refused_and_change_nothing)
{
	static const char big[NODE_FACTS_MAX + 2] = "a=";

	boot();
	node("one", "exec", NODE_DONE);
	CHECK_INT(FACTS("a=1"), 0);
	CHECK_INT(status_take(&status, CONTROL_FACTS, "b=1", 3), -EBADMSG);
	CHECK_INT(status_take(&status, CONTROL_FACTS, "", 0), -EBADMSG);
	CHECK_INT(FACTS("b=1\0c"), -EBADMSG);
	CHECK_INT(status_take(&status, CONTROL_FACTS, big, NODE_FACTS_MAX + 1), -EBADMSG);
	CHECK_STR(status_fact(&status.facts[0], "a"), "1");
}

TEST(a_fact_is_a_number_by_its_name_and_not_by_its_looks)
{
	boot();
	node("disk", "disk", NODE_DONE);
	CHECK_INT(FACTS("device=/dev/sda\0size_bytes=64\0serial=12345\0model=1e5\0formatted=true\0luks_uuid=true\0"
			"wait_s=1.250"), 0);
	json();
	HAS("\"disk\":{\"device\":\"/dev/sda\",\"size_bytes\":64,\"serial\":\"12345\",\"model\":\"1e5\",\"formatted\":true,"
	    "\"luks_uuid\":\"true\",\"wait_s\":1.250}");
	HAS("\"clock\":null,\"measurements\":null");
	free(shown.bytes);
}

TEST(what_should_be_a_number_and_is_none_is_a_text)
{
	static const char *const no[] = {"", "-", "01", "1.", ".5", "+1", "1e3", "0x10", "nan", "1 ", "1.2.3", "--1", "1}",
					 "123456789012345678901"};
	static const char *const yes[] = {"0", "-0.000001", "10", "1.250", "12345678901234567890"};

	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
		CHECK(!status_is_number(no[i]));
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
		CHECK(status_is_number(yes[i]));
	boot();
	node("clock", "clock", NODE_DONE);
	CHECK_INT(FACTS("offset_s=1,\"x\":2\0stratum=4\0synchronised=yes"), 0);
	CHECK(status_number(status_facts_of(&status, "clock"), "offset_s") == NULL);
	json();
	HAS("\"clock\":{\"offset_s\":\"1,\\\"x\\\":2\",\"stratum\":4,\"synchronised\":\"yes\"}");
	free(shown.bytes);
}

TEST(a_fact_told_twice_counts_once)
{
	boot();
	node("one", "exec", NODE_DONE);
	CHECK_INT(FACTS("a=1\0a=2\0ab=3"), 0);
	json();
	HAS("\"facts\":{\"a\":\"1\",\"ab\":\"3\"}");
	free(shown.bytes);
}

TEST(the_first_stage_of_a_type_gives_the_facts)
{
	boot();
	node("spare", "disk", NODE_WAITING);
	node("disk", "disk", NODE_DONE);
	CHECK_INT(FACTS("device=/dev/sdb"), 0);
	CHECK(status_facts_of(&status, "disk") == NULL);
	node("pcrs", "measure", NODE_DONE);
	CHECK_INT(FACTS("platform=plain\0pcr4=0123456789012345678901234567890123456789012345678901234567890123"), 0);
	json();
	HAS("\"disk\":null");
	HAS("\"measurements\":{\"platform\":\"plain\",\"pcr4\":\"0123456789");
	free(shown.bytes);
}

TEST(a_service_has_restarts_and_uptime_while_it_runs)
{
	struct control_node *n;

	boot();
	n = node("reth", "service", NODE_READY);
	n->ended_ns = 4 * S;
	n->pid = 77;
	n = node("off", "service", NODE_DISABLED);
	n->attempts = 0;
	n->started_ns = n->first_started_ns = 0;
	json();
	HAS("\"pid\":77,");
	HAS("\"restarts\":2,\"ready_s\":4.000000,\"uptime_s\":57.000000,\"log_dropped\":null,\"last_lines\":[],\"resources\"");
	HAS("\"restarts\":0,\"ready_s\":null,\"uptime_s\":null,\"log_dropped\":null,\"last_lines\":[],\"resources\"");
	free(shown.bytes);
}

TEST(what_a_service_uses_is_shown_as_far_as_it_is_known)
{
	boot();
	node("reth", "service", NODE_READY);
	CHECK_INT(FACTS("memory_bytes=4096\0memory_peak_bytes=8192\0cpu_us=1500000\0processes=3\0oom_kills=1"), 0);
	node("off", "service", NODE_DISABLED);
	CHECK_INT(FACTS("memory_bytes=x\0oom_kills=0"), 0);
	json();
	HAS("\"resources\":{\"memory_bytes\":4096,\"memory_peak_bytes\":8192,\"processes\":3,\"oom_kills\":1,"
	    "\"cpu_s\":1.500000}}");
	HAS("\"resources\":{\"memory_bytes\":null,\"memory_peak_bytes\":null,\"processes\":null,\"oom_kills\":0,"
	    "\"cpu_s\":null}}");
	free(shown.bytes);
	table();
	HAS("    4.0 KiB     1.50 s  ");
	HAS("          -          -  ");
	free(shown.bytes);
}

TEST(progress_is_in_the_document_and_in_the_table_while_the_stage_runs)
{
	struct control_node *n;

	boot();
	n = node("snapshot", "snapshot", NODE_RUNNING);
	n->progress_ns = 4 * S;
	n->progress_done = 3 << 20;
	n->progress_total = 4 << 20;
	n->progress_per_second = 1536 << 10;
	n->progress_eta_s = 1;
	snprintf(n->progress_text, sizeof(n->progress_text), "3 of 4 MiB");
	snprintf(n->reason, sizeof(n->reason), "3 of 4 MiB");
	json();
	HAS("\"duration_s\":58.000000,\"progress\":{\"told_s\":4.000000,\"done_bytes\":3145728,\"total_bytes\":4194304,"
	    "\"per_second\":1572864,\"eta_s\":1,\"text\":\"3 of 4 MiB\"},\"facts\":{}}");
	free(shown.bytes);
	table();
	HAS("75 %, 1.5 MiB/s, 1 s left: 3 of 4 MiB\n");
	free(shown.bytes);
	n->progress_total = 0;
	n->progress_eta_s = UINT32_MAX;
	json();
	HAS("\"total_bytes\":null,\"per_second\":1572864,\"eta_s\":null");
	free(shown.bytes);
	table();
	HAS(" 1.5 MiB/s: 3 of 4 MiB\n");
	free(shown.bytes);
	n->progress_ns = 2 * S;		/* of the attempt before this one */
	table();
	CHECK(strstr(shown.bytes, "MiB/s") == NULL);
	free(shown.bytes);
	n->progress_ns = 4 * S;
	n->state = NODE_DONE;
	table();
	CHECK(strstr(shown.bytes, "MiB/s") == NULL);
	free(shown.bytes);
}

TEST(the_boot_has_its_figures)
{
	boot();
	status.boot.turns = (struct control_turns){.count = {10, 0, 5, 0, 0, 0, 0, 1}, .sum_ns = 300000000, .max_ns = 250000000};
	json();
	HAS("\"events\":7,\"events_by_level\":{\"debug\":1,\"info\":2,\"notice\":3,\"warning\":0,\"error\":1},\"dropped\":0,"
	    "\"children\":2,\"memory_bytes\":null,\"loop\":{\"buckets\":[{\"le_s\":0.000100,\"turns\":10},{\"le_s\":0.000300,"
	    "\"turns\":10},{\"le_s\":0.001000,\"turns\":15}");
	HAS("{\"le_s\":null,\"turns\":16}],\"turns\":16,\"sum_s\":0.300000,\"longest_s\":0.250000}}");
	HAS("\"api\":{\"certificate_sha256\":null,\"certificate_end_s\":null},\"versions\":{\"gantry\":\"9\","
	    "\"kernel\":\"6.12\",\"image\":{\"name\":\"web\",\"version\":\"1.2.3\"}}}\n");
	free(shown.bytes);
}

TEST(refreshes_are_told_only_where_there_are_any)
{
	struct control_refresh r = {.state = REFRESH_IDLE, .success_ns = 10 * S, .next_ns = 90 * S, .runs = {1, 2, 0}};

	boot();
	json();
	HAS("\"refresh\":null");
	free(shown.bytes);
	table();
	CHECK(strstr(shown.bytes, "configuration:") == NULL);
	free(shown.bytes);
	CHECK_INT(status_take(&status, CONTROL_REFRESHES, &r, sizeof(r)), 0);
	table();
	HAS("configuration: none yet, up to date 50 s ago; the next in 30 s\n");
	free(shown.bytes);
	memset(r.sha256, 'a', 64);
	r.ended_ns = 48 * S;
	r.outcome = REFRESH_BAD;
	r.runs[REFRESH_BAD] = 3;
	snprintf(r.reason, sizeof(r.reason), "hub \"says\"\x1b[2J no");
	CHECK_INT(status_take(&status, CONTROL_REFRESHES, &r, sizeof(r)), 0);
	json();
	HAS("\"refresh\":{\"state\":\"idle\",\"sha256\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
	    "\"success_s\":10.000000,\"ended_s\":48.000000,\"result\":\"failed\",\"reason\":\"hub \\\"says\\\" no\","
	    "\"next_s\":90.000000,\"runs\":{\"changed\":1,\"unchanged\":2,\"failed\":3}}");
	free(shown.bytes);
	table();
	HAS("configuration: aaaaaaaaaaaa, up to date 50 s ago; refresh failed 12 s ago: hub \"says\" no; the next in 30 s\n");
	free(shown.bytes);
	r.state = REFRESH_APPLYING;
	r.next_ns = 0;
	CHECK_INT(status_take(&status, CONTROL_REFRESHES, &r, sizeof(r)), 0);
	table();
	HAS("\"says\" no; now: apply\n");
	free(shown.bytes);
	boot();
	CHECK(!status.refreshes);
}

TEST(the_largest_status_fits_the_document)
{
	struct control_node *n;

	boot();
	for (int i = 0; i < STATUS_NODES_MAX; i++) {
		n = node("node", "exec", NODE_RUNNING);
		memset(n->reason, '<', sizeof(n->reason) - 1);
		memset(n->progress_text, '<', sizeof(n->progress_text) - 1);
		n->progress_ns = 1;
		memset(status.facts[i].bytes, '<', NODE_FACTS_MAX);
		memcpy(status.facts[i].bytes, "key=", 4);
		status.facts[i].bytes[NODE_FACTS_MAX - 1] = '\0';
		status.facts[i].size = NODE_FACTS_MAX;
		memset(status.lines[i].bytes, '<', sizeof(status.lines[i].bytes));
		for (size_t at = LOGTAIL_LINE_MAX; at < sizeof(status.lines[i].bytes); at += LOGTAIL_LINE_MAX + 1)
			status.lines[i].bytes[at] = '\0';
		status.lines[i].size = 7 * (LOGTAIL_LINE_MAX + 1);
	}
	json();
	HAS("\"versions\":");
	free(shown.bytes);
}

TEST(a_service_has_its_last_lines_in_pieces_as_they_came)
{
	char piece[] = "\x07\0\0\0\0\0\0\0one\0<two>", more[] = "\x08\0\0\0\0\0\0\0three";
	static char big[sizeof(uint64_t) + LOGTAIL_BYTES_MAX];

	boot();
	CHECK_INT(status_take(&status, CONTROL_LINES, piece, sizeof(piece)), -EBADMSG);
	node("reth", "service", NODE_READY)->kind = NODE_SERVICE;
	CHECK_INT(status_take(&status, CONTROL_LINES, piece, sizeof(piece)), 0);
	CHECK_INT(status_take(&status, CONTROL_LINES, more, sizeof(more)), 0);
	json();
	HAS("\"log_dropped\":8,\"last_lines\":[\"one\",\"\\u003ctwo\\u003e\",\"three\"],\"resources\"");
	free(shown.bytes);
	CHECK_INT(status_take(&status, CONTROL_LINES, piece, 7), -EBADMSG);
	CHECK_INT(status_take(&status, CONTROL_LINES, piece, sizeof(piece) - 1), -EBADMSG);
	CHECK_INT(status_take(&status, CONTROL_LINES, big, sizeof(big)), -EBADMSG);
}

TEST(messages_of_other_sizes_and_states_are_refused)
{
	struct control_node n = {.state = NODE_STATE_MAX};
	struct control_boot b = {.state = BOOT_STATE_MAX};
	struct control_refresh state = {.state = REFRESH_STATE_MAX}, outcome = {.outcome = REFRESH_OUTCOME_MAX};

	boot();
	CHECK_INT(status_take(&status, CONTROL_REFRESHES, &state, sizeof(state)), -EBADMSG);
	CHECK_INT(status_take(&status, CONTROL_REFRESHES, &outcome, sizeof(outcome)), -EBADMSG);
	CHECK_INT(status_take(&status, CONTROL_REFRESHES, &outcome, sizeof(outcome) - 1), -EBADMSG);
	CHECK_INT(status_take(&status, CONTROL_NODE, &n, sizeof(n)), -EBADMSG);
	n.state = NODE_DONE;
	CHECK_INT(status_take(&status, CONTROL_NODE, &n, sizeof(n) - 1), -EBADMSG);
	CHECK_INT(status_take(&status, CONTROL_BOOT, &b, sizeof(b)), -EBADMSG);
	CHECK_INT(status_take(&status, CONTROL_END, "", 0), -EBADMSG);
	CHECK_INT(status.n_nodes, 0);
}
