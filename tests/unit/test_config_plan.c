/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration as a graph: what nodes need, give and want of each other must be there, fit and end in time. */
/* links: init/config init/lib plan */
/* libs: json-c */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init/config/shutdown.h"
#include "config_fixture.h"

TEST(a_shutdown_has_time_for_the_longest_chain_of_graces)
{
	struct config *c = parse("{\"services\": ["
				 "{\"name\": \"c\", \"command\": [\"/c\"], \"needs\": [\"b\"], \"stop_grace_s\": 20},"
				 "{\"name\": \"a\", \"command\": [\"/a\"], \"stop_grace_s\": 300},"
				 "{\"name\": \"b\", \"command\": [\"/b\"], \"after\": [\"a\"], \"stop_grace_s\": 5},"
				 "{\"name\": \"d\", \"command\": [\"/d\"], \"stop_grace_s\": 310}]}");

	CHECK_STR(error, "");
	CHECK_INT(config_graces_ms(c), 325000);
	CHECK_INT(c->shutdown_timeout_ms, 355000);
	config_free(c);
}

TEST(a_shutdown_that_is_too_short_for_a_grace_is_refused)
{
	struct config *c = parse("{\"shutdown\": {\"timeout_s\": 330},\n\"services\": ["
				 "{\"name\": \"db\", \"command\": [\"/db\"], \"stop_grace_s\": 300}]}");

	CHECK_STR(error, "");
	CHECK_INT(c->shutdown_timeout_ms, 330000);
	config_free(c);
	CHECK(!parse("{\"services\": [{\"name\": \"db\", \"command\": [\"/db\"], \"stop_grace_s\": 300}],\n"
		     "\"shutdown\": {\n\"timeout_s\": 329}}"));
	CHECK_STR(error, "boot.json:3: shutdown: timeout_s 329 leaves 299 s for the services, but \"db\" has "
		  "stop_grace_s 300");
	c = parse("{\"shutdown\": {\"timeout_s\": 2}, \"services\": [{\"name\": \"db\", \"command\": [\"/db\"]}]}");
	CHECK_STR(error, "");	/* the default grace is no promise */
	config_free(c);
}

#define STAGE(name, more) "{\"name\": \"" name "\", \"type\": \"network\"" more "}"

TEST(needs_must_exist_and_can_be_met)
{
	static const struct bad bad[] = {
		{"{\"stages\": [" STAGE("network", "") ",\n" STAGE("b", ",\n\"needs\": [\n\"netwrok\"]") "]}",
		 "boot.json:4: stages[1] \"b\": needs \"netwrok\": no such stage or service; did you mean \"network\"?"},
		{"{\"stages\": [" STAGE("a", ", \"after\": [\"quux\"]") "]}",
		 "boot.json:1: stages[0] \"a\": comes after \"quux\": no such stage or service"},
		{"{\"stages\": [" STAGE("a", "") ",\n" STAGE("a", "") "]}",
		 "boot.json:2: stages[1] \"a\": duplicate name: also the name of another stage"},
		{"{\"stages\": [" STAGE("a", "") "],\n\"services\": [{\"name\": \"a\", \"command\": [\"/a\"]}]}",
		 "boot.json:2: services[0] \"a\": duplicate name: also the name of another stage"},
		{"{\"stages\": [" STAGE("gantry", "") "]}",
		 "boot.json:1: stages[0] \"gantry\": \"gantry\" is a reserved name"},
		{"{\"stages\": [" STAGE("teardown", "") "]}",
		 "boot.json:1: stages[0] \"teardown\": \"teardown\" is a reserved name"},
		{"{\"stages\": [" STAGE("pid-x", "") ", " STAGE("pid-", "") ", " STAGE("pid-12", "") "]}",
		 "boot.json:1: stages[2] \"pid-12\": \"pid-12\" is a reserved name"},
		{"{\"stages\": [" STAGE("a", ", \"needs\": [\"a\"]") "]}",
		 "boot.json:1: stages[0] \"a\": needs \"a\": a node cannot wait for itself"},
		{"{\"stages\": [" STAGE("a", "") ", " STAGE("b", ", \"needs\": [\"a\", \"a\"]") "]}",
		 "boot.json:1: stages[1] \"b\": needs \"a\": listed twice"},
		{"{\"stages\": [" STAGE("a", ", \"when\": \"held\"") ", " STAGE("b", ", \"needs\": [\"a\"]") "]}",
		 "boot.json:1: stages[1] \"b\": needs \"a\": it runs only when the boot is held"},
		{"{\"logs\": {\"needs\": [\n\"dsk\"]}, \"stages\": [" STAGE("disk", "") "]}",
		 "boot.json:2: logs: needs \"dsk\": no such stage or service; did you mean \"disk\"?"},
		{"{\"services\": [{\"name\": \"a\", \"command\": [\"/a\"],\n\"log\": {}}]}",
		 "boot.json:2: services[0] \"a\": log: \"log\" requires \"logs\" at the top of the file"},
		{"{\"log\": {\"needs\": [\n\"dsk\"]}, \"stages\": [" STAGE("disk", "") "]}",
		 "boot.json:2: log: needs \"dsk\": no such stage or service; did you mean \"disk\"?"},
		{"{\"services\": [{\"name\": \"a\", \"command\": [\"/a\"], \"enabled\": false}, "
		 "{\"name\": \"b\", \"command\": [\"/b\"], \"needs\": [\"a\"]}]}",
		 "boot.json:1: services[1] \"b\": needs \"a\": the service is not enabled"},
		{"{\"stages\": [\n" STAGE("a", ", \"needs\": [\"b\"]") ",\n" STAGE("b", ", \"needs\": [\"a\"]") "]}",
		 "boot.json:2: stages[0] \"a\": waits for itself: a -> b -> a"},
		{"{\"stages\": [" STAGE("x", ", \"needs\": [\"a\"]") ",\n" STAGE("a", ", \"needs\": [\"b\"]") ", "
		 STAGE("b", ", \"after\": [\"s\"]") "],"
		 "\"services\": [{\"name\": \"s\", \"command\": [\"/s\"], \"needs\": [\"a\"]}]}",
		 "boot.json:2: stages[1] \"a\": waits for itself: a -> b -> s -> a"},
		{0}};

	check_all(bad);
}

#define CONFIG(more) "{\"name\": \"config\", \"type\": \"config\", \"options\": {\"url\": \"https://hub\"}" more "}"
#define DISK(keys)   "{\"name\": \"disk\", \"type\": \"disk\", \"options\": {\"keys\": [" keys "]}}"
#define RENDER       "{\"name\": \"render\", \"type\": \"render\", \"options\": {\"files\": []}}"

/* Lengths chosen so that the text of the circle ends where its buffer does. */
TEST(a_circle_of_long_names_is_cut_and_not_written_beyond)
{
	enum { NODES = 14, LONG = NODE_NAME_MAX - 1 };
	char names[NODES][NODE_NAME_MAX], text[4096];
	size_t n = 0;

	for (int i = 0; i < NODES; i++) {
		memset(names[i], 'a' + i, LONG);
		names[i][i == 9 ? 16 : LONG] = '\0';
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n, "{\"services\": [");
	for (int i = 0; i < NODES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "%s{\"name\": \"%s\", \"command\": [\"/bin/x\"], \"needs\": [\"%s\"]}",
				      i ? "," : "", names[i], names[(i + 1) % NODES]);
	snprintf(text + n, sizeof(text) - n, "]}");
	CHECK(parse(text) == NULL);
	CHECK(strstr(error, "waits for itself: aaaa") != NULL);
	CHECK(strstr(error, " -> ... -> aaaa") != NULL);
}

TEST(an_artifact_that_is_taken_has_a_giver)
{
	static const struct bad bad[] = {
		{"{\"stages\": [" RENDER "]}",
		 "boot.json:1: stages[0] \"render\": takes \"config\", which no stage gives"},
		{"{\"stages\": [" DISK("\"hub\"") "]}",
		 "boot.json:1: stages[0] \"disk\": takes \"disk-key\", which no stage gives"},
		{"{\"stages\": [" CONFIG(", \"needs\": [\"disk\"]") ",\n" DISK("\"tpm2\", \"hub\"") "]}",
		 "boot.json:2: stages[1] \"disk\": takes \"disk-key\" from \"config\", which waits for this stage"},
		{"{\"stages\": [" CONFIG("") ", {\"name\": \"again\", \"type\": \"config\", \"options\": {\"url\": \"https://x\"}}]}",
		 "boot.json:1: stages[1] \"again\": gives \"config\", as \"config\" does"},
		{0}};
	static const char *const good[] = {
		"{\"stages\": [" RENDER ", " CONFIG("") "]}",
		"{\"stages\": [" DISK("\"tpm2\"") "]}",
		"{\"stages\": [" DISK("\"tpm2\"") ", " CONFIG(", \"needs\": [\"disk\"]") "]}",
		"{\"stages\": [" DISK("\"tpm2\", \"hub\"") ", " CONFIG("") "]}",
		"{\"stages\": [{\"name\": \"ready\", \"type\": \"azure\"}]}",
	};

	check_all(bad);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct config *c = parse(good[i]);

		CHECK_STR(error, "");
		CHECK(c != NULL);
		config_free(c);
	}
}

TEST(a_plan_has_bounds)
{
	static char text[CONFIG_SIZE_MAX];
	size_t n = 0;

	n += (size_t)sprintf(text + n, "{\"stages\": [");
	for (int i = 0; i < 200; i++)
		n += (size_t)sprintf(text + n, "%s{\"name\": \"s%d\", \"type\": \"network\"}", i ? "," : "", i);
	n += (size_t)sprintf(text + n, "], \"services\": [");
	for (int i = 0; i < CONFIG_NODES_MAX - 199; i++)
		n += (size_t)sprintf(text + n, "%s{\"name\": \"t%d\", \"command\": [\"/t\"]}", i ? "," : "", i);
	sprintf(text + n, "]}");
	CHECK(parse(text) == NULL);
	CHECK_STR(error, "boot.json:1: services: more than 1200 stages and services");

	n = (size_t)sprintf(text, "{\"stages\": [{\"name\": \"z\", \"type\": \"network\", \"needs\": [\"a\"");
	for (int i = 0; i < 32; i++)
		n += (size_t)sprintf(text + n, ",\"b\"");
	sprintf(text + n, "]}]}");
	CHECK(parse(text) == NULL);
	CHECK_STR(error, "boot.json:1: stages[0] \"z\": needs: must have at most 32 items");

	n = (size_t)sprintf(text, "[");
	for (int i = 0; i < 20000; i++)
		n += (size_t)sprintf(text + n, "%s1", i ? "," : "");
	sprintf(text + n, "]");
	CHECK(parse(text) == NULL);
	CHECK_STR(error, "boot.json:1: top level: more than 16384 values");
}

TEST(wants_and_restart_are_read_and_checked)
{
	struct config *c = parse("{\"services\": [{\"name\": \"a\", \"command\": [\"/a\"]},"
				 "{\"name\": \"b\", \"command\": [\"/b\"], \"wants\": [\"a\"], \"needs\": [\"a\"],"
				 "\"follows_needs\": true, \"restart\": {\"jitter\": 0.25, \"stable_s\": 2.5, \"burst\": 7,"
				 "\"burst_s\": 9, \"on_burst\": \"fail\"}}]}");

	CHECK_STR(error, "");
	CHECK_INT(c->nodes[0].retry_jitter_permille, 100);
	CHECK_INT(c->nodes[0].stable_ms, 10000);
	CHECK_INT(c->nodes[0].burst, 10);
	CHECK_INT(c->nodes[0].burst_ms, 60000);
	CHECK(!c->nodes[0].burst_fails && !c->nodes[0].follows_needs);
	CHECK_INT(c->nodes[1].n_wants, 1);
	CHECK_INT(c->nodes[1].wants[0], 0);
	CHECK(c->nodes[1].burst_fails && c->nodes[1].follows_needs);
	CHECK_INT(c->nodes[1].retry_jitter_permille, 250);
	CHECK_INT(c->nodes[1].stable_ms, 2500);
	CHECK_INT(c->nodes[1].burst, 7);
	CHECK_INT(c->nodes[1].burst_ms, 9000);
	config_free(c);
	CHECK(parse("{\"services\": [{\"name\": \"a\", \"command\": [\"/a\"], \"wants\": [\"b\"]},"
		    "{\"name\": \"b\", \"command\": [\"/b\"], \"after\": [\"a\"]}]}") == NULL);
	CHECK_STR(error, "boot.json:1: services[0] \"a\": waits for itself: a -> b -> a");
	CHECK(parse("{\"services\": [{\"name\": \"a\", \"command\": [\"/a\"], \"wants\": [\"c\"]}]}") == NULL);
	CHECK_STR(error, "boot.json:1: services[0] \"a\": wants \"c\": no such stage or service");
	CHECK(parse("{\"services\": [{\"name\": \"a\", \"command\": [\"/a\"], \"follows_needs\": true}]}") == NULL);
	CHECK_STR(error, "boot.json:1: services[0] \"a\": \"follows_needs\" requires \"needs\"");
}

TEST(a_long_chain_of_needs_is_fine)
{
	static char text[CONFIG_SIZE_MAX];
	struct config *c;
	size_t n = (size_t)sprintf(text, "{\"stages\": [{\"name\": \"s0\", \"type\": \"network\"}");

	for (int i = 1; i < CONFIG_NODES_MAX; i++)
		n += (size_t)sprintf(text + n, ",{\"name\": \"s%d\", \"type\": \"network\", \"needs\": [\"s%d\"]}", i, i - 1);
	sprintf(text + n, "]}");
	c = parse(text);
	CHECK_STR(error, "");
	CHECK(c != NULL);
	CHECK_INT(c->n_nodes, CONFIG_NODES_MAX);
	config_free(c);
}

#define REFRESH_STAGES "\"stages\": [{\"name\": \"c\", \"type\": \"config\", \"options\": {\"url\": \"https://h\"}}, " \
	"{\"name\": \"r\", \"type\": \"render\", \"options\": {\"files\": [{\"template\": \"/t\", \"path\": \"/etc/x\"}]}}]"
#define REFRESH(more) "{" REFRESH_STAGES ", " more "}"
#define BOX(volume) \
	"\"services\": [{\"name\": \"s\", \"container\": {\"image\": \"r.io/a@sha256:" \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", \"volumes\": [\"/data:/e\", \"" volume "\"]}}]"
#define SVC(more) "\"services\": [{\"name\": \"s\", \"command\": [\"/bin/s\"], " more "}]"

TEST(a_refresh_and_what_services_do_about_it_are_read)
{
	struct config *c = parse(REFRESH("\"refresh\": {\"stage\": \"c\"}, "
					 SVC("\"enabled_if\": \"a.b\", \"on_change\": {\"files\": [\"/etc/x\"], "
					     "\"action\": \"signal\"}")));

	CHECK_STR(error, "");
	CHECK(c != NULL);
	CHECK(c->refreshes);
	CHECK_INT(c->refresh_stage, 0);
	CHECK_INT(c->refresh_every_ms, 300000);
	CHECK(c->refresh_jitter > 0.09 && c->refresh_jitter < 0.11);
	CHECK_STR(c->nodes[2].enabled_if, "a.b");
	CHECK_INT(c->nodes[2].n_change_files, 1);
	CHECK_STR(c->nodes[2].change_files[0], "/etc/x");
	CHECK_INT(c->nodes[2].change_action, CHANGE_SIGNAL);
	CHECK_INT(c->nodes[2].change_signal, SIGHUP);
	/* the implicit need, and the keys for the stage that evaluates them */
	CHECK_INT(c->nodes[2].n_needs, 1);
	CHECK_INT(c->nodes[2].needs[0], 0);
	CHECK_STR(c->nodes[0].json, "{\"url\":\"https://h\",\"enabled_if\":[\"a.b\"],\"kept\":true}");
	CHECK_INT(c->nodes[0].json_size, strlen(c->nodes[0].json));
	config_free(c);
	c = parse(REFRESH(SVC("\"needs\": [\"c\"], \"enabled_if\": \"a.b\"")));
	CHECK(c != NULL);
	CHECK(!c->refreshes);
	CHECK_INT(c->nodes[2].n_needs, 1);
	config_free(c);
}

TEST(a_refresh_names_what_is_there)
{
	static const struct bad bad[] = {
		{REFRESH("\"refresh\": {\"stage\": \"r\"}"),
		 "boot.json:1: refresh.stage: \"r\" is not a stage that fetches a configuration"},
		{REFRESH("\"refresh\": {}"), "boot.json:1: refresh: \"stage\" is missing"},
		{REFRESH("\"refresh\": {\"stage\": \"c\", \"jitter\": 1.5}"),
		 "boot.json:1: refresh.jitter: 1.5 is not within 0 to 1"},
		{REFRESH("\"api\": {\"actions\": [{\"name\": \"a\", \"verb\": \"@refresh-config\"}]}"),
		 "boot.json:1: api.actions[0] \"a\": verb: \"@refresh-config\" requires \"refresh\" at the top of the file"},
		{REFRESH("\"api\": {\"actions\": [{\"name\": \"a\", \"verb\": \"@refresh-config x\"}]}"),
		 "boot.json:1: api.actions[0] \"a\": verb: \"@refresh-config x\" is not one of \"@start NAME\", \"@stop NAME\", "
		 "\"@restart NAME\", \"@reboot\", \"@poweroff\", \"@halt\", \"@refresh-config\""},
		{REFRESH(SVC("\"on_change\": {\"files\": [\"/etc/x\"], \"action\": \"none\"}")),
		 "boot.json:1: services[0] \"s\": on_change: requires \"refresh\" at the top of the file"},
		{REFRESH("\"refresh\": {\"stage\": \"c\"}, "
			 SVC("\"on_change\": {\"files\": [\"/etc/y\"], \"action\": \"none\"}")),
		 "boot.json:1: services[0] \"s\": on_change.files[0]: no stage renders \"/etc/y\"; did you mean \"/etc/x\"?"},
		{REFRESH("\"refresh\": {\"stage\": \"c\"}, "
			 SVC("\"on_change\": {\"files\": [\"/etc/x\"], \"action\": \"restart\", \"signal\": \"HUP\"}")),
		 "boot.json:1: services[0] \"s\": on_change: \"signal\" requires the action \"signal\""},
		{REFRESH(SVC("\"enabled_if\": \"a..b\"")),
		 "boot.json:1: services[0] \"s\": enabled_if: \"a..b\" is not a key of a document (example: \"rbuilder.enabled\")"},
		{SERVICE("\"enabled_if\": \"a\""),
		 "boot.json:1: services[0] \"s\": enabled_if: no stage fetches a configuration"},
		{REFRESH("\"log\": {\"needs\": [\"s\"]}, " SVC("\"enabled_if\": \"a\"")),
		 "boot.json:1: log.needs: \"s\" has enabled_if \"a\": nodes that need it must have "
		 "the same, or use \"after\""},
		{REFRESH("\"logs\": {\"directory\": \"/l\", \"needs\": [\"s\"]}, " SVC("\"enabled_if\": \"a\"")),
		 "boot.json:1: logs.needs: \"s\" has enabled_if \"a\": nodes that need it must have "
		 "the same, or use \"after\""},
		{"{" REFRESH_STAGES ", \"services\": [{\"name\": \"s\", \"command\": [\"/bin/s\"], \"enabled_if\": \"a\"}, "
		 "{\"name\": \"t\", \"command\": [\"/bin/t\"], \"enabled_if\": \"b\", \"needs\": [\"s\"]}]}",
		 "boot.json:1: services[1] \"t\": needs: \"s\" has enabled_if \"a\": nodes that need it must have "
		 "the same, or use \"after\""},
		{REFRESH("\"refresh\": {\"stage\": \"c\"}, " BOX("/etc/x:/etc/x:ro")),
		 "boot.json:1: services[0] \"s\": container.volumes[1]: \"/etc/x\" is replaced by a refresh, and a container keeps "
		 "the old file: put it into a folder of its own and mount the folder"},
		{"{\"api\": {\"uploads\": [{\"name\": \"u\", \"path\": \"/etc/u\"}]}, " BOX("/etc/u:/u") "}",
		 "boot.json:1: services[0] \"s\": container.volumes[1]: \"/etc/u\" is replaced by an upload, and a container keeps "
		 "the old file: put it into a folder of its own and mount the folder"},
		{0},
	};
	struct config *once;

	check_all(bad);
	once = parse(REFRESH(BOX("/etc/x:/etc/x:ro")));	/* without a refresh it is rendered once a boot */
	if (!once)
		test_fail(__FILE__, __LINE__, "%s", error);
	config_free(once);
}
