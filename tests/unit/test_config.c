/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration: what a good file becomes, and for each kind of error the exact line that is said.
 */
/* links: init/config init/lib plan */
/* libs: json-c */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_fixture.h"

static const char example[] =
	"// what the machine does\n"
	"{\n"
	"  \"hostname\": \"node-1\", /* two\n"
	"  lines */ \"sysctls\": {\"kernel.panic\": \"10\", \"net/ipv4/ip_forward\": \"0\"},\n"
	"  \"modules\": [\"virtio_net\", \"dm-crypt\"],\n"
	"  \"held\": {\"action\": \"reboot\", \"delay_s\": 0.5},\n"
	"  \"events\": {\"fifo\": \"/run/gantry/fifo\", \"rate_per_s\": 0, \"burst\": 5},\n"
	"  \"log\": {\"needs\": [\"disk\"], \"directory\": \"/persistent/log\"},\n"
	"  \"logs\": {\"needs\": [\"disk\"], \"files\": 9},\n"
	"  \"api\": {\"listen\": \"[::]:3535\"},\n"
	"  \"users\": [{\"name\": \"reth\", \"uid\": 1001, \"gid\": 1001, \"groups\": [\"eth\"]}],\n"
	"  \"stages\": [\n"
	"    {\"name\": \"network\", \"type\": \"network\"},\n"
	"    {\"name\": \"config\", \"type\": \"config\", \"needs\": [\"network\"], \"deadline_s\": 0,\n"
	"     \"retry\": {\"min_s\": 0.2, \"limit\": 3}, \"options\": {\"url\": \"https://hub\"}},\n"
	"    {\"name\": \"disk\", \"type\": \"disk\", \"options\": {\"lun\": 10, \"keys\": [\"tpm2\", \"hub\"], \"pcrs\": [4, 9]}},\n"
	"    {\"name\": \"tell\", \"type\": \"azure\", \"when\": \"held\", \"needs\": [\"network\"]}\n"
	"  ],\n"
	"  \"services\": [\n"
	"    {\"name\": \"reth\", \"command\": [\"/bin/reth\", \"--x=\\u00e4/b\"], \"user\": \"reth\", \"group\": \"eth\", \"needs\": [\"disk\"],\n"
	"     \"ready\": {\"tcp\": \"[::1]:8545\"}, \"restart\": {\"policy\": \"on-failure\", \"min_s\": 2}, \"stop_signal\": \"INT\",\n"
	"     \"stop_grace_s\": 300, \"cgroup\": {\"memory.max\": \"1G\"}, \"limits\": {\"nofile\": 1048576, \"core\": \"unlimited\"},\n"
	"     \"before_start\": [{\"directory\": \"/run/x\", \"mode\": \"0750\"}, {\"secret\": \"/run/jwt.hex\", \"bytes\": 32}, {\"remove\": \"/run/reth.ipc\"}]},\n"
	"    {\"name\": \"ssh\", \"command\": [\"/sbin/dropbear\"], \"enabled\": false, \"after\": [\"reth\"], \"ready\": {\"path\": \"/run/ssh\"},\n"
	"     \"log\": {\"files\": 3, \"max_bytes\": 70000, \"format\": \"json\", \"events\": true}}\n"
	"  ]\n"
	"}\n";

TEST(a_good_file_becomes_a_plan)
{
	struct config *c = parse(example);

	CHECK_STR(error, "");
	CHECK(c != NULL);
	CHECK_STR(c->hostname, "node-1");
	CHECK_INT(c->n_sysctls, 2);
	CHECK_STR(c->sysctls[1].name, "net/ipv4/ip_forward");
	CHECK_INT(c->held_action, HELD_REBOOT);
	CHECK_INT(c->held_delay_ms, 500);
	CHECK_STR(c->fifo, "/run/gantry/fifo");
	CHECK_INT(c->event_rate_per_s, 0);
	CHECK_INT(c->event_burst, 5);
	CHECK_STR(c->api_json, "{\"listen\":\"[::]:3535\",\"connections\":1024,\"connections_per_address\":256,"
		  "\"before_unlock\":\"events\",\"password_hash\":\"sha256\",\"tls_hosts\":[\"localhost\"],\"tls_create\":true}");
	CHECK_INT(c->n_log_needs, 1);
	CHECK_INT(c->log_needs[0], 2);
	CHECK(c->logs);
	CHECK_STR(c->logs_directory, "/var/log/gantry");
	CHECK_STR(c->logs_group, "root");
	CHECK_INT(c->n_logs_needs, 1);
	CHECK_INT(c->logs_needs[0], 2);
	CHECK_INT(c->nodes[4].log_max_bytes, 16777216);
	CHECK_INT(c->nodes[4].log_files, 9);
	CHECK(!c->nodes[4].log_json && !c->nodes[4].log_events);
	CHECK_INT(c->nodes[5].log_max_bytes, 70000);
	CHECK_INT(c->nodes[5].log_files, 3);
	CHECK(c->nodes[5].log_json && c->nodes[5].log_events);
	CHECK_INT(c->n_nodes, 6);

	CHECK_STR(c->nodes[1].name, "config");
	CHECK_INT(c->nodes[1].n_needs, 1);
	CHECK_INT(c->nodes[1].needs[0], 0);
	CHECK_INT(c->nodes[1].deadline_ms, 0);
	CHECK_INT(c->nodes[1].retry_min_ms, 200);
	CHECK_INT(c->nodes[1].retry_max_ms, 60000);
	CHECK_INT(c->nodes[1].retry_limit, 3);
	CHECK_STR(c->nodes[1].json, "{\"url\":\"https://hub\"}");
	CHECK_INT(c->nodes[3].when, WHEN_HELD);

	CHECK_INT(c->nodes[4].kind, NODE_SERVICE);
	CHECK_INT(c->nodes[4].ready, READY_TCP);
	CHECK_STR(c->nodes[4].ready_address, "::1");
	CHECK_INT(c->nodes[4].ready_port, 8545);
	CHECK_INT(c->nodes[4].restart, RESTART_ON_FAILURE);
	CHECK_INT(c->nodes[4].retry_min_ms, 2000);
	CHECK_INT(c->nodes[4].stop_signal, SIGINT);
	CHECK_INT(c->nodes[4].stop_grace_ms, 300000);
	CHECK_STR(c->nodes[4].cgroup[0].value, "1G");
	CHECK(strstr(c->nodes[4].json, "\"--x=\303\244/b\"") != NULL);
	CHECK_INT(c->nodes[4].json_size, strlen(c->nodes[4].json));
	CHECK(!c->nodes[5].enabled);
	CHECK_STR(c->nodes[5].ready_path, "/run/ssh");
	CHECK_INT(c->nodes[5].after[0], 4);
	config_free(c);
}

TEST(what_is_left_out_has_its_default)
{
	struct config *c = parse("{\"stages\": [{\"name\": \"net\", \"type\": \"network\"}],"
				 "\"services\": [{\"name\": \"a\", \"command\": [\"/bin/a\"]}]}");

	CHECK_STR(error, "");
	CHECK(c != NULL);
	CHECK_STR(c->hostname, "gantry");
	CHECK_INT(c->held_action, HELD_HOLD);
	CHECK_INT(c->held_delay_ms, 60000);
	CHECK_INT(c->boot_deadline_ms, 900000);
	CHECK_INT(c->shutdown_timeout_ms, 40000);	/* the grace of a, and 30 s */
	CHECK_INT(c->event_ring, 2000);
	CHECK_INT(c->event_rate_per_s, 1000);
	CHECK_INT(c->event_burst, 10000);
	CHECK(!c->fifo && !c->api_json && !c->log_json && !c->n_sysctls);
	CHECK(c->nodes[0].required && c->nodes[0].enabled);
	CHECK_INT(c->nodes[0].deadline_ms, 120000);
	CHECK_INT(c->nodes[0].retry_limit, 5);
	CHECK_INT(c->nodes[0].retry_min_ms, 1000);
	CHECK_STR(c->nodes[0].json, "{}");
	CHECK_INT(c->nodes[1].ready, READY_STARTED);
	CHECK_INT(c->nodes[1].ready_deadline_ms, 60000);
	CHECK_INT(c->nodes[1].restart, RESTART_ALWAYS);
	CHECK_INT(c->nodes[1].stop_signal, SIGTERM);
	CHECK_INT(c->nodes[1].stop_grace_ms, 10000);
	config_free(c);
}

TEST(roles_get_objects_with_their_defaults)
{
	struct config *c = parse("{\"log\": {}, \"logs\": {\"files\": 2}, \"api\": {\"actions\": ["
				 "{\"name\": \"a\", \"command\": [\"/bin/a\"], \"directory\": \"/tmp\"}]}, "
				 "\"services\": [{\"name\": \"s\", \"command\": [\"/bin/s\"], \"umask\": \"0077\"}]}");

	CHECK_STR(error, "");
	CHECK(c != NULL);
	CHECK_STR(c->nodes[0].json, "{\"name\":\"s\",\"command\":[\"/bin/s\"],\"umask\":\"0077\",\"user\":\"root\","
		  "\"directory\":\"/\",\"no_new_privs\":true}");
	CHECK_STR(c->actions[0].json, "{\"name\":\"a\",\"command\":[\"/bin/a\"],\"directory\":\"/tmp\",\"user\":\"root\","
		  "\"umask\":\"0022\",\"no_new_privs\":true}");
	CHECK_STR(c->log_json, "{\"directory\":\"/persistent/gantry/log\",\"max_bytes\":16777216}");
	CHECK_STR(c->logs_json, "{\"files\":2,\"directory\":\"/var/log/gantry\",\"group\":\"root\",\"max_bytes\":16777216}");
	config_free(c);
}

TEST(the_probe_of_a_container_is_a_program_with_its_defaults)
{
	struct config *c = parse("{\"services\": [{\"name\": \"s\", \"container\": {\"image\": \"a.b/c@sha256:"
				 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}, "
				 "\"ready\": {\"exec\": [\"/bin/r\"]}, \"watchdog\": {\"exec\": [\"/bin/h\"]}}]}");

	CHECK_STR(error, "");
	CHECK(c != NULL);
	CHECK_STR(c->nodes[0].ready_json, "{\"name\":\"s\",\"command\":[\"/bin/r\"],\"user\":\"root\",\"directory\":\"/\","
		  "\"umask\":\"0022\",\"no_new_privs\":true}");
	CHECK(strstr(c->nodes[0].health_json, "\"no_new_privs\":true") != NULL);
	config_free(c);
}

TEST(what_is_not_strict_json_is_refused_with_line_and_place)
{
	static const struct bad bad[] = {
		{"", "boot.json:1: top level: ends too early: a value expected"},
		{"\n[]", "boot.json:2: top level: must be an object"},
		{"{} {}", "boot.json:1: top level: bytes after the JSON value"},
		{"{}\n\nx", "boot.json:3: top level: bytes after the JSON value"},
		{"{\n\"hostname\": \"a\",\n}", "boot.json:3: top level: comma before '}'"},
		{"{\"modules\": [\"a\",\n]}", "boot.json:2: modules: comma before ']'"},
		{"{\"modules\": [\"a\" \"b\"]}", "boot.json:1: modules: ',' or ']' expected, found '\"'"},
		{"{\"hostname\" \"a\"}", "boot.json:1: top level: ':' expected, found '\"'"},
		{"{hostname: \"a\"}", "boot.json:1: top level: a key in quotes expected, found 'h'"},
		{"{'hostname': \"a\"}", "boot.json:1: top level: a key in quotes expected, found '''"},
		{"{\"hostname\": \"a\",\n\"hostname\": \"b\"}",
		 "boot.json:2: top level: duplicate key \"hostname\""},
		{"{\"held\": {\"delay_s\": 1,\n/* \n */ \"delay_s\": 2}}",
		 "boot.json:3: held: duplicate key \"delay_s\""},
		{"{\"hostname\": \"a\xff\"}", "boot.json:1: hostname: string is not UTF-8"},
		{"{\"hostname\": \"\xed\xa0\x80\"}", "boot.json:1: hostname: string is not UTF-8"},
		{"{\"hostname\": \"\xc0\xaf\"}", "boot.json:1: hostname: string is not UTF-8"},
		{"{\"hostname\": \"a\\u0000b\"}", "boot.json:1: hostname: NUL in a string"},
		{"{\"hostname\": \"\\ud800x\"}", "boot.json:1: hostname: half of a surrogate pair in a string"},
		{"{\"host\\u006eame\": \"a\"}", "boot.json:1: top level: escape in a key"},
		{"{\"hostname\": \"a\\x\"}", "boot.json:1: hostname: unknown escape in a string"},
		{"{\"hostname\": \"a\tb\"}", "boot.json:1: hostname: control character in a string"},
		{"{\"hostname\": \"a\n\"}", "boot.json:1: hostname: string without an end"},
		{"{\"hostname\": nul}", "boot.json:1: hostname: a value expected, found 'n'"},
		{"{\"hostname\": NaN}", "boot.json:1: hostname: a value expected, found 'N'"},
		{"{\"hostname\": 01}", "boot.json:1: hostname: number with a leading zero"},
		{"{\"hostname\": 1e3}", "boot.json:1: hostname: number with an exponent"},
		{"{\"hostname\": -}", "boot.json:1: hostname: a digit expected, found '}'"},
		{"{\"hostname\": 1234567890123456789}", "boot.json:1: hostname: number of more than 18 digits"},
		{"{}\n/* no end\n\n", "boot.json:2: top level: comment without an end"},
		{"{} # x", "boot.json:1: top level: bytes after the JSON value"},
		{"{} / x", "boot.json:1: top level: '/' does not begin a comment (// to the end of the line, or /* to */)"},
		{"{\"stages\": [{}, {\"retry\": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}]}",
		 "boot.json:1: stages[1].retry[0][0][0][0][0][0][0][0][0][0][0][0][0]: nested too deeply: more than 16 levels of objects and arrays"},
		{0}};

	check_all(bad);
}

TEST(text_beyond_ascii_is_text)
{
	struct config *c = parse("{\"services\": [{\"name\": \"a\", \"command\": [\"/bin/a\", \"gr\xc3\xbc\xc3\x9f\"]}]}");

	CHECK_STR(error, "");
	CHECK(c != NULL);
	CHECK(strstr(c->nodes[0].json, "gr\xc3\xbc\xc3\x9f") != NULL);
	config_free(c);
}

TEST(bytes_after_a_nul_are_seen)
{
	static const char text[] = "{}\n\0";
	struct config *c = NULL;

	CHECK_INT(config_parse("boot.json", text, sizeof(text), &c, error, sizeof(error)), -EINVAL);
	CHECK(c == NULL);
	CHECK_STR(error, "boot.json:2: top level: bytes after the JSON value");
}

TEST(keys_and_types_are_strict)
{
	static const struct bad bad[] = {
		{"{\n\n\"hostnam\": \"a\"}",
		 "boot.json:3: top level: unknown key \"hostnam\"; did you mean \"hostname\"?"},
		{"{\"frobnicate\": 1}", "boot.json:1: top level: unknown key \"frobnicate\""},
		{"{\"held\": {\n\"dealy_s\": 1}}",
		 "boot.json:2: held: unknown key \"dealy_s\"; did you mean \"delay_s\"?"},
		{"{\"hostname\": 5}", "boot.json:1: hostname: must be a string"},
		{"{\"hostname\": null}", "boot.json:1: hostname: must be a string"},
		{"{\"hostname\": \"-a\"}", "boot.json:1: hostname: \"-a\" is not a host name"},
		{"{\"hostname\": \"\"}", "boot.json:1: hostname: \"\" is not a host name"},
		{"{\"modules\": {}}", "boot.json:1: modules: must be an array of strings"},
		{"{\"modules\": [\"a\",\n5]}", "boot.json:2: modules[1]: must be a string"},
		{"{\"modules\": [\"a/b\"]}", "boot.json:1: modules[0]: \"a/b\" is not a module name"},
		{"{\"sysctls\": {\"kernel.panic\": 10}}", "boot.json:1: sysctls.kernel.panic: must be a string"},
		{"{\"sysctls\": {\"a\": \"b\",\n\"../x\": \"1\"}}",
		 "boot.json:2: sysctls: \"../x\" is not a sysctl name (example: \"kernel.panic\")"},
		{"{\"held\": []}", "boot.json:1: held: must be an object"},
		{"{\"held\": {\"action\": \"shell\"}}",
		 "boot.json:1: held.action: \"shell\" is not one of \"hold\", \"reboot\", \"poweroff\""},
		{"{\"held\": {\"delay_s\": -1}}", "boot.json:1: held.delay_s: -1 is not within 0 to 86400"},
		{"{\"held\": {\"delay_s\": \"1\"}}", "boot.json:1: held.delay_s: must be a number"},
		{"{\"shutdown\": {\"timeout_s\": 0.5}}", "boot.json:1: shutdown.timeout_s: 0.5 is not within 1 to 86400"},
		{"{\"events\": {\"ring\": 2000.5}}", "boot.json:1: events.ring: must be an integer"},
		{"{\"events\": {\"ring\": 1}}", "boot.json:1: events.ring: 1 is not within 16 to 100000"},
		{"{\"events\": {\"fifo\": \"run/x\"}}",
		 "boot.json:1: events.fifo: \"run/x\" is not an absolute path without \".\", \"..\", doubled or final '/'"},
		{"{\"api\": {\"listen\": \"localhost:3535\"}}", "boot.json:1: api.listen: \"localhost:3535\" is not a numeric "
		 "address and port (examples: \"127.0.0.1:8545\", \"[::1]:8545\")"},
		{"{\"api\": {\"tls_hosts\": []}}", "boot.json:1: api.tls_hosts: must not be empty"},
		{"{\"stages\": {}}", "boot.json:1: stages: must be an array of objects"},
		{"{\"stages\": [1]}", "boot.json:1: stages[0]: must be an object"},
		{"{\"stages\": [{\"name\": \"x\"}]}", "boot.json:1: stages[0] \"x\": \"type\" is missing"},
		{"{\"stages\": [\n{\"type\": \"disk\"}]}", "boot.json:2: stages[0]: \"name\" is missing"},
		{"{\"stages\": [{\"name\": \"Disk\", \"type\": \"disk\"}]}", "boot.json:1: stages[0] \"Disk\": name: \"Disk\" is "
		 "not a name (a lower-case letter, then lower-case letters, digits and '-', at most 31 bytes)"},
		{"{\"stages\": [{\"name\": \"x\",\n\"type\": \"dsk\"}]}",
		 "boot.json:2: stages[0] \"x\": type: unknown stage type \"dsk\"; did you mean \"disk\"?"},
		{"{\"stages\": [{\"name\": \"x\", \"type\": \"disk\", \"required\": 1}]}",
		 "boot.json:1: stages[0] \"x\": required: must be true or false"},
		{"{\"stages\": [{\"name\": \"x\", \"type\": \"disk\",\n\"retry\": {\"min_s\": 5,\n\"max_s\": 2}}]}",
		 "boot.json:2: stages[0] \"x\": retry: min_s 5 is more than max_s 2"},
		{0}};

	check_all(bad);
}

TEST(stage_options_fit_their_table)
{
	static const struct bad bad[] = {
		{"{\"stages\": [{\"name\": \"d\", \"type\": \"disk\", \"options\": []}]}",
		 "boot.json:1: stages[0] \"d\": options: must be an object"},
		{"{\"stages\": [{\"name\": \"d\", \"type\": \"disk\", \"options\": {\n\"lnu\": 1}}]}",
		 "boot.json:2: stages[0] \"d\": options: unknown key \"lnu\"; did you mean \"lun\"?"},
		{"{\"stages\": [{\"name\": \"n\", \"type\": \"network\", \"options\": {\"lun\": 1}}]}",
		 "boot.json:1: stages[0] \"n\": options: unknown key \"lun\""},
		{"{\"stages\": [{\"name\": \"d\", \"type\": \"disk\", \"options\": {\"lun\": 256}}]}",
		 "boot.json:1: stages[0] \"d\": options.lun: 256 is not within 0 to 255"},
		{"{\"stages\": [{\"name\": \"d\", \"type\": \"disk\", \"options\": {\"keys\": []}}]}",
		 "boot.json:1: stages[0] \"d\": options.keys: must not be empty"},
		{"{\"stages\": [{\"name\": \"d\", \"type\": \"disk\", \"options\": {\"keys\": [\"tpm2\", \"tpm\"]}}]}",
		 "boot.json:1: stages[0] \"d\": options.keys[1]: \"tpm\" is not one of \"tpm2\", \"hub\""},
		{"{\"stages\": [{\"name\": \"d\", \"type\": \"disk\", \"options\": {\"pcrs\": [4, 24]}}]}",
		 "boot.json:1: stages[0] \"d\": options.pcrs[1]: 24 is not within 0 to 23"},
		{"{\"stages\": [{\"name\": \"d\", \"type\": \"disk\", \"options\": {\"format\": \"yes\"}}]}",
		 "boot.json:1: stages[0] \"d\": options.format: must be true or false"},
		{"{\"stages\": [{\"name\": \"d\", \"type\": \"disk\", \"options\": {\"wait_s\": 61}}]}",
		 "boot.json:1: stages[0] \"d\": options.wait_s: 61 is not within 0 to 60"},
		{"{\"stages\": [{\"name\": \"c\", \"type\": \"config\"}]}",
		 "boot.json:1: stages[0] \"c\": options: \"url\" is missing"},
		{"{\"stages\": [{\"name\": \"c\", \"type\": \"config\", \"options\": {\"url\": \"http:\"}}]}",
		 "boot.json:1: stages[0] \"c\": options.url: must have at least 8 bytes"},
		{"{\"stages\": [{\"name\": \"r\", \"type\": \"render\", \"options\": {\"files\": [\n{\"template\": \"a\"}]}}]}",
		 "boot.json:2: stages[0] \"r\": options.files[0]: \"path\" is missing"},
		{"{\"stages\": [{\"name\": \"r\", \"type\": \"render\", \"options\": {\"files\": ["
		 "{\"template\": \"a\", \"path\": \"b\", \"user\": \"reht\"}]}}]}",
		 "boot.json:1: stages[0] \"r\": options.files[0].user: \"reht\" is neither root nor in \"users\""},
		{0}};

	check_all(bad);
}

TEST(services_are_strict)
{
	static const struct bad bad[] = {
		{"{\"services\": [{\"name\": \"s\", \"command\": []}]}",
		 "boot.json:1: services[0] \"s\": command: must not be empty"},
		{"{\"services\": [{\"name\": \"s\", \"command\": [\"s\"]}]}", "boot.json:1: services[0] \"s\": command[0]: \"s\" is "
		 "not an absolute path without \".\", \"..\", doubled or final '/'"},
		{"{\"services\": [{\"name\": \"s\", \"command\": \"/bin/s\"}]}",
		 "boot.json:1: services[0] \"s\": command: must be an array of strings"},
		{"{\"services\": [{\"name\": \"s\"}]}", "boot.json:1: services[0] \"s\": must have exactly one of \"command\", \"container\""},
		{SERVICE("\"comand\": []"),
		 "boot.json:1: services[0] \"s\": unknown key \"comand\"; did you mean \"command\"?"},
		{SERVICE("\"user\": \"reht\""),
		 "boot.json:1: services[0] \"s\": user: \"reht\" is neither root nor in \"users\""},
		{SERVICE("\"groups\": [\"root\", \"eth\"]"),
		 "boot.json:1: services[0] \"s\": groups[1]: \"eth\" is neither root nor a user or group in \"users\""},
		{SERVICE("\"ready\": {}"),
		 "boot.json:1: services[0] \"s\": ready: must have exactly one of "
		 "\"path\", \"tcp\", \"notify\", \"fd\", \"exec\", \"exit\""},
		{SERVICE("\"ready\": {\"path\": \"/x\", \"notify\": true}"),
		 "boot.json:1: services[0] \"s\": ready: must have exactly one of "
		 "\"path\", \"tcp\", \"notify\", \"fd\", \"exec\", \"exit\""},
		{SERVICE("\"ready\": {\"fd\": 2}"), "boot.json:1: services[0] \"s\": ready.fd: 2 is not within 3 to 255"},
		{SERVICE("\"ready\": {\"exec\": [\"probe\"]}"),
		 "boot.json:1: services[0] \"s\": ready.exec[0]: \"probe\" is not an absolute path "
		 "without \".\", \"..\", doubled or final '/'"},
		{SERVICE("\"ready\": {\"fd\": 3, \"timeout_s\": 1}"),
		 "boot.json:1: services[0] \"s\": ready: \"timeout_s\" belongs to \"exec\""},
		{SERVICE("\"ready\": {\"exec\": [\"/p\"], \"interval_s\": 0}"),
		 "boot.json:1: services[0] \"s\": ready: \"interval_s\" must be at least 0.001"},
		{SERVICE("\"ready\": {\"exit\": false}"), "boot.json:1: services[0] \"s\": ready.exit: must be true"},
		{SERVICE("\"watchdog\": {\"notify_s\": 0}"),
		 "boot.json:1: services[0] \"s\": watchdog: \"notify_s\" must be at least 0.001"},
		{SERVICE("\"watchdog\": {\"notify_s\": 1, \"failures\": 2}"),
		 "boot.json:1: services[0] \"s\": watchdog: \"failures\" belongs to \"exec\""},
		{SERVICE("\"ready\": {\"notify\": false}"), "boot.json:1: services[0] \"s\": ready.notify: must be true"},
		{SERVICE("\"ready\": {\"tcp\": \"127.0.0.1:70000\"}"), "boot.json:1: services[0] \"s\": ready.tcp: "
		 "\"127.0.0.1:70000\" is not a numeric address and port (examples: \"127.0.0.1:8545\", \"[::1]:8545\")"},
		{SERVICE("\"ready\": {\"tcp\": \"::1:80\"}"), "boot.json:1: services[0] \"s\": ready.tcp: "
		 "\"::1:80\" is not a numeric address and port (examples: \"127.0.0.1:8545\", \"[::1]:8545\")"},
		{SERVICE("\"stop_signal\": \"SIGTERM\""), "boot.json:1: services[0] \"s\": stop_signal: \"SIGTERM\" is not one of "
		 "\"TERM\", \"INT\", \"QUIT\", \"HUP\", \"USR1\", \"USR2\", \"KILL\", \"ABRT\", \"ALRM\", \"CONT\", \"WINCH\""},
		{SERVICE("\"restart\": {\"policy\": \"often\"}"), "boot.json:1: services[0] \"s\": restart.policy: \"often\" is not "
		 "one of \"always\", \"on-failure\", \"never\""},
		{SERVICE("\"restart\": {\"min_s\": 61}"),
		 "boot.json:1: services[0] \"s\": restart: min_s 61 is more than max_s 60"},
		{SERVICE("\"before_start\": [{\"mode\": \"0700\"}]"), "boot.json:1: services[0] \"s\": before_start[0]: must have "
		 "exactly one of \"directory\", \"secret\", \"remove\", \"file\", \"path\""},
		{SERVICE("\"before_start\": [{\"file\": \"/x\"}]"), "boot.json:1: services[0] \"s\": before_start[0]: \"from\" is missing"},
		{SERVICE("\"before_start\": [{\"secret\": \"/x\", \"from\": \"/y\"}]"),
		 "boot.json:1: services[0] \"s\": before_start[0]: \"secret\" has no \"from\""},
		{SERVICE("\"before_start\": [{\"path\": \"/x\"}]"), "boot.json:1: services[0] \"s\": before_start[0]: "
		 "changes nothing: add \"user\", \"group\" or \"mode\""},
		{SERVICE("\"before_start\": [{\"remove\": \"/x*/y\"}]"),
		 "boot.json:1: services[0] \"s\": before_start[0]: only the last path segment may be a pattern"},
		{SERVICE("\"ready\": {\"exit\": true}, \"when_ready\": [{\"path\": \"/x\", \"mode\": \"0660\"}]"),
		 "boot.json:1: services[0] \"s\": \"when_ready\" cannot be combined with \"ready.exit\""},
		{SERVICE("\"when_ready\": [{\"mode\": \"0660\"}]"),
		 "boot.json:1: services[0] \"s\": when_ready[0]: \"path\" is missing"},
		{SERVICE("\"when_ready\": [{\"path\": \"/x\"}]"), "boot.json:1: services[0] \"s\": when_ready[0]: "
		 "changes nothing: add \"user\", \"group\" or \"mode\""},
		{SERVICE("\"when_ready\": [{\"path\": \"/x\", \"group\": \"eht\"}]"), "boot.json:1: services[0] \"s\": when_ready[0].group: "
		 "\"eht\" is neither root nor a user or group in \"users\""},
		{SERVICE("\"private_tmp\": true, \"when_ready\": [{\"path\": \"/tmp/s\", \"mode\": \"0660\"}]"),
		 "boot.json:1: services[0] \"s\": when_ready[0].path: "
		 "\"/tmp/s\" would be hidden by the service's own /tmp and /var/tmp (private_tmp)"},
		{SERVICE("\"before_start\": [{\"directory\": \"/x\", \"bytes\": 16}]"),
		 "boot.json:1: services[0] \"s\": before_start[0]: \"directory\" has no \"bytes\""},
		{SERVICE("\"before_start\": [{\"remove\": \"/x\",\n\"user\": \"root\"}]"),
		 "boot.json:2: services[0] \"s\": before_start[0]: \"remove\" has no \"user\""},
		{SERVICE("\"before_start\": [{\"secret\": \"/x\", \"mode\": \"rw\"}]"),
		 "boot.json:1: services[0] \"s\": before_start[0].mode: \"rw\" is not an octal mode (example: \"0750\")"},
		{SERVICE("\"umask\": \"1777\""),
		 "boot.json:1: services[0] \"s\": umask: \"1777\" is not an octal umask (example: \"0077\")"},
		{SERVICE("\"nice\": 20"), "boot.json:1: services[0] \"s\": nice: 20 is not within -20 to 19"},
		{SERVICE("\"limits\": {\"nofiles\": 1}"),
		 "boot.json:1: services[0] \"s\": limits: unknown limit \"nofiles\"; did you mean \"nofile\"?"},
		{SERVICE("\"limits\": {\"nofile\": -1}"),
		 "boot.json:1: services[0] \"s\": limits.nofile: must be an integer of at least 0, or \"unlimited\""},
		{SERVICE("\"limits\": {\"nofile\": 1048577}"), "boot.json:1: services[0] \"s\": limits.nofile: "
		 "1048577 is more than the kernel allows: 1048576 (sysctl \"fs.nr_open\")"},
		{SERVICE("\"limits\": {\"nofile\": \"unlimited\"}"), "boot.json:1: services[0] \"s\": limits.nofile: "
		 "unlimited is more than the kernel allows: 1048576 (sysctl \"fs.nr_open\")"},
		{SERVICE("\"capabilities\": [\"NET_RAW\",\n\"NET_ADMN\"]"), "boot.json:2: services[0] \"s\": capabilities[1]: "
		 "\"NET_ADMN\" is not a capability name (example: \"NET_ADMIN\"); did you mean \"NET_ADMIN\"?"},
		{SERVICE("\"capabilities\": [\"CAP_SYS_TIME\"]"), "boot.json:1: services[0] \"s\": capabilities[0]: "
		 "\"CAP_SYS_TIME\" is not a capability name (example: \"NET_ADMIN\"); did you mean \"SYS_TIME\"?"},
		{SERVICE("\"seccomp\": \"strict\""),
		 "boot.json:1: services[0] \"s\": seccomp: \"strict\" is not one of \"default\", \"clock\""},
		{SERVICE("\"oom_score_adj\": 1001"),
		 "boot.json:1: services[0] \"s\": oom_score_adj: 1001 is not within -1000 to 1000"},
		{SERVICE("\"no_new_privs\": \"yes\""), "boot.json:1: services[0] \"s\": no_new_privs: must be true or false"},
		{SERVICE("\"read_only\": []"), "boot.json:1: services[0] \"s\": read_only: must not be empty"},
		{SERVICE("\"read_only\": [\"etc\"]"), "boot.json:1: services[0] \"s\": read_only[0]: \"etc\" is not an absolute path "
		 "without \".\", \"..\", doubled or final '/'"},
		{SERVICE("\"private_tmp\": true, \"ready\": {\n\"path\": \"/tmp/s\"}"), "boot.json:2: services[0] \"s\": ready.path: "
		 "\"/tmp/s\" would be hidden by the service's own /tmp and /var/tmp (private_tmp)"},
		{SERVICE("\"private_tmp\": true, \"before_start\": [{\"remove\": \"/tmpx\"}, {\"directory\": \"/var/tmp/x\"}]"),
		 "boot.json:1: services[0] \"s\": before_start[1].directory: "
		 "\"/var/tmp/x\" would be hidden by the service's own /tmp and /var/tmp (private_tmp)"},
		{SERVICE("\"private_tmp\": true, \"read_only\": [\"/\", \"/tmp\"]"), "boot.json:1: services[0] \"s\": read_only[1]: "
		 "\"/tmp\" would be hidden by the service's own /tmp and /var/tmp (private_tmp)"},
		{SERVICE("\"cgroup\": {\"cgroup.procs\": \"1\"}"), "boot.json:1: services[0] \"s\": cgroup: \"cgroup.procs\" is not a "
		 "cgroup v2 setting of a controller (example: \"memory.max\")"},
		{SERVICE("\"cgroup\": {\"io.max\": \"what the kernel knows\",\n\"memory.max\": \"64X\"}"),
		 "boot.json:2: services[0] \"s\": cgroup.memory.max: \"64X\" is neither \"max\" nor a size of at least 1M, "
		 "such as \"512M\""},
		{SERVICE("\"environment\": {\"A=B\": \"1\"}"),
		 "boot.json:1: services[0] \"s\": environment: \"A=B\" is not the name of an environment variable"},
		{"{\"users\": [{\"name\": \"root\", \"uid\": 5, \"gid\": 5}]}",
		 "boot.json:1: users[0] \"root\": \"root\" is a predefined account"},
		{"{\"users\": [{\"name\": \"chrony\", \"uid\": 5, \"gid\": 5}]}",
		 "boot.json:1: users[0] \"chrony\": \"chrony\" is a predefined account"},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 950, \"gid\": 5}]}",
		 "boot.json:1: users[0] \"a\": uid 950 is already the uid of \"dhcpcd\""},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 5, \"gid\": 907}]}",
		 "boot.json:1: users[0] \"a\": gid 907 is already the gid of \"gantry-tpm\""},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 5,\n\"gid\": 951}]}",
		 "boot.json:2: users[0] \"a\": gid 951 is already the gid of \"chrony\""},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 919, \"gid\": 5}]}",
		 "boot.json:1: users[0] \"a\": uid 919 is reserved: 900 to 929 are for Gantry's own processes"},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 5, \"gid\": 929}]}",
		 "boot.json:1: users[0] \"a\": gid 929 is reserved: 900 to 929 are for Gantry's own processes"},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 5, \"gid\": 5, \"groups\": [\"eth\",\n\"gantry-tpm\"]}]}",
		 "boot.json:2: users[0] \"a\": groups[1]: \"gantry-tpm\" is the group of a predefined account"},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 5, \"gid\": 5, \"groups\": [\"root\"]}]}",
		 "boot.json:1: users[0] \"a\": groups[0]: \"root\" is the group of a predefined account"},
		{SERVICE("\"user\": \"gantry-log\""),
		 "boot.json:1: services[0] \"s\": user: \"gantry-log\" is neither root nor in \"users\""},
		{"{\"users\": [{\"name\": \"tpm\", \"uid\": 907, \"gid\": 1}]}",
		 "boot.json:1: users[0] \"tpm\": uid 907 is already the uid of \"gantry-tpm\""},
		{"{\"tpm\": {\"tcti\": \"/dev/tpmrm0\"}}", "boot.json:1: tpm.tcti: \"/dev/tpmrm0\" is neither \"device:\" nor "
		 "\"swtpm:path=\" with an absolute path"},
		{"{\"users\": [{\"name\": \"log\", \"uid\": 901, \"gid\": 1}]}",
		 "boot.json:1: users[0] \"log\": uid 901 is already the uid of \"gantry-log\""},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 5, \"gid\": 5}, {\"name\": \"b\",\n\"uid\": 5, \"gid\": 6}]}",
		 "boot.json:2: users[1] \"b\": uid 5 is already the uid of \"a\""},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 5, \"gid\": 5}, {\"name\": \"a\", \"uid\": 6, \"gid\": 6}]}",
		 "boot.json:1: users[1] \"a\": duplicate name: also the name of users[0]"},
		{"{\"users\": [{\"name\": \"a\", \"uid\": 0, \"gid\": 5}]}",
		 "boot.json:1: users[0] \"a\": uid: 0 is not within 1 to 65533"},
		{0}};

	check_all(bad);
}

TEST(files_that_cannot_be_read_say_why)
{
	struct config *c = NULL;

	CHECK_INT(config_load("/nowhere/boot.json", &c, error, sizeof(error)), -ENOENT);
	CHECK_STR(error, "/nowhere/boot.json: no such file or directory");
	CHECK_INT(config_load("/proc", &c, error, sizeof(error)), -EISDIR);
	CHECK_STR(error, "/proc: is a directory");
	CHECK_INT(config_load("/dev/zero", &c, error, sizeof(error)), -EFBIG);
	CHECK_STR(error, "/dev/zero: larger than 1048576 bytes");
	CHECK(c == NULL);
}

TEST(a_short_error_buffer_is_enough)
{
	char small[12];
	struct config *c = NULL;

	CHECK_INT(config_parse("boot.json", "{\"x\": 1}", 8, &c, small, sizeof(small)), -EINVAL);
	CHECK_STR(small, "boot.json:1");
}
