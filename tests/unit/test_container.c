/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Containers without podman: what boot.json may say of them and what is refused, what PID 1 makes of it, and the exact
 * command lines that come of it.
 */
/* links: init/config plan container init/lib */
/* libs: json-c */
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "init/config/container-keys.h"
#include "init/config/fill.h"
#include "init/config/service-keys.h"
#include "init/config/load.h"
#include "init/lib/config.h"
#include "init/container/command.h"
#include "fake_stages.h"
#include "test.h"

#define HEX   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define IMAGE "ghcr.io/org/name@sha256:" HEX

static char error[512];

static struct config *parse(const char *text)
{
	struct config *config = NULL;

	error[0] = '\0';
	config_parse("boot.json", text, strlen(text), &config, error, sizeof(error));
	return config;
}

/* A configuration with one container that has these keys besides. */
static struct config *with(const char *image, const char *keys)
{
	char text[4096];

	snprintf(text, sizeof(text), "{\"services\": [{\"name\": \"box\", \"container\": {\"image\": \"%s\"%s%s}}]}", image,
		 keys[0] ? ", " : "", keys);
	return parse(text);
}

static void check_good(const char *image, const char *keys)
{
	struct config *config = with(image, keys);

	if (!config)
		test_fail(__FILE__, __LINE__, "%s %s: %s", image, keys, error);
	config_free(config);
}

static void check_bad(const char *image, const char *keys, const char *expected)
{
	struct config *config = with(image, keys);

	if (config || !strstr(error, expected))
		test_fail(__FILE__, __LINE__, "%s %s: \"%s\" instead of \"%s\"", image, keys, error, expected);
	config_free(config);
}

TEST(an_image_is_named_by_registry_path_and_digest_and_nothing_else)
{
	static const char *const good[] = {
		IMAGE, "127.0.0.1:5000/a@sha256:" HEX, "localhost/a/b/c@sha256:" HEX, "r.io/a__b/c-d.e_f--g@sha256:" HEX,
	};
	static const char *const bad[] = {
		"", "haproxy", "docker.io/library/haproxy:3.0", "ghcr.io/org/name:1@sha256:" HEX, "name@sha256:" HEX,
		"org/name@sha256:" HEX, IMAGE "0", "ghcr.io/org/name@sha256:0123", "ghcr.io/org/name@sha512:" HEX,
		"ghcr.io/org/Name@sha256:" HEX, "ghcr.io//name@sha256:" HEX, "ghcr.io/@sha256:" HEX,
		"--root=x.y/a@sha256:" HEX, "ghcr.io/../a@sha256:" HEX, "ghcr.io/a/@sha256:" HEX, "ghcr.io:0/a@sha256:" HEX,
		"ghcr.io:99999/a@sha256:" HEX, "ghcr.io:/a@sha256:" HEX, "gh..io/a@sha256:" HEX, "ghcr.io/a___b@sha256:" HEX,
		"ghcr.io/a..b@sha256:" HEX, "ghcr.io/a-@sha256:" HEX, "ghcr.io/a b@sha256:" HEX, " " IMAGE, IMAGE " ",
		"ghcr.io/a@sha256:" HEX "@sha256:" HEX, "ghcr.io/-a@sha256:" HEX,
		"ghcr.io/a@sha256:ABCDEFabcdef0123456789abcdef0123456789abcdef0123456789abcdef0123",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_good(good[i], "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad(bad[i], "", "is not an image with registry and digest");
}

TEST(no_value_is_read_by_podman_as_another_one)
{
	static const char *const good[] = {
		"\"volumes\": [\"/a:/b\", \"/a/b c:/d:ro\"]", "\"network\": \"bridge\", \"ports\": [\"80:80\", \"127.0.0.1:1:2/udp\", \"[::1]:1:2/tcp\"]",
		"\"user\": \"1000:1000\"", "\"user\": \"haproxy\"", "\"tmpfs\": [\"/tmp\", \"/x:size=10%,mode=1777\"]",
		"\"capabilities\": [\"NET_ADMIN\"]", "\"command\": [\"--x\", \"\"]", "\"command\": []", "\"pull_deadline_s\": 5",
	};
	static const struct {
		const char *keys, *error;
	} bad[] = {
		{"\"volumes\": [\"/a\"]", "is not a volume"}, {"\"volumes\": [\"a:/b\"]", "is not a volume"},
		{"\"volumes\": [\"/a:b\"]", "is not a volume"}, {"\"volumes\": [\"/a:/\"]", "is not a volume"},
		{"\"volumes\": [\"/a:/b:rw,exec\"]", "is not a volume"}, {"\"volumes\": [\"/a:/b:ro:z\"]", "is not a volume"},
		{"\"volumes\": [\"/a/../b:/c\"]", "is not a volume"}, {"\"volumes\": [\":/c\"]", "is not a volume"},
		{"\"network\": \"container:x\"", "network"}, {"\"ports\": [\"80:80\"]", "\"ports\" requires the network \"bridge\""},
		{"\"network\": \"bridge\", \"ports\": [\"80\"]", "is not a published port"},
		{"\"network\": \"bridge\", \"ports\": [\"0:80\"]", "is not a published port"},
		{"\"network\": \"bridge\", \"ports\": [\"host:80:80\"]", "is not a published port"},
		{"\"network\": \"bridge\", \"ports\": [\"80:80/sctp\"]", "is not a published port"},
		{"\"user\": \"\"", "is not a user of the image"}, {"\"user\": \"-x\"", "is not a user of the image"},
		{"\"user\": \"1:2:3\"", "is not a user of the image"}, {"\"user\": \"1:\"", "is not a user of the image"},
		{"\"tmpfs\": [\"/\"]", "is not a tmpfs"}, {"\"tmpfs\": [\"/a:\"]", "is not a tmpfs"},
		{"\"tmpfs\": [\"/a:size=1m:x\"]", "is not a tmpfs"}, {"\"capabilities\": [\"ALL\"]", "is not a capability name"},
		{"\"capabilities\": [\"CAP_KILL\"]", "is not a capability name"}, {"\"pull_deadline_s\": 0", "pull_deadline_s"},
		{"\"plain_http\": true", "\"plain_http\" requires a registry on a loopback address"}, {"\"privileged\": true", "unknown key"},
		{"\"login\": {\"username\": \"a\"}", "password"},
		{"\"login\": {\"username\": \"a\", \"password\": \"a..b\"}", "is not a key of a document"},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_good(IMAGE, good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad(IMAGE, bad[i].keys, bad[i].error);
	check_good("127.0.0.1:5000/a@sha256:" HEX, "\"plain_http\": true");
	check_bad("127.0.0.1:5000/a@sha256:" HEX, "\"plain_http\": true, \"ca\": \"/x\"", "cannot be combined with");
	check_bad("localhost.evil.org/a@sha256:" HEX, "\"plain_http\": true", "\"plain_http\" requires a registry on a loopback address");
	check_bad("127.evil.org/a@sha256:" HEX, "\"plain_http\": true", "\"plain_http\" requires a registry on a loopback address");
}

TEST(a_service_is_a_program_or_a_container)
{
	static const char *const not_beside[] = {
		"\"user\": \"root\"", "\"group\": \"root\"", "\"groups\": [\"root\"]", "\"directory\": \"/\"", "\"umask\": \"0022\"",
		"\"environment_file\": \"/x\"", "\"capabilities\": []", "\"no_new_privs\": true", "\"private_tmp\": true",
		"\"read_only\": [\"/x\"]", "\"seccomp\": \"default\"",
	};
	char text[1024];

	CHECK(!parse("{\"services\": [{\"name\": \"a\", \"ready\": {\"fd\": 3}, \"container\": {\"image\": \"" IMAGE "\"}}]}"));
	CHECK(strstr(error, "\"fd\" does not work with"));
	CHECK(!parse("{\"services\": [{\"name\": \"a\"}]}"));
	CHECK(!parse("{\"services\": [{\"name\": \"a\", \"command\": [\"/b\"], \"container\": {\"image\": \"" IMAGE "\"}}]}"));
	for (size_t i = 0; i < sizeof(not_beside) / sizeof(not_beside[0]); i++) {
		snprintf(text, sizeof(text), "{\"services\": [{\"name\": \"a\", \"container\": {\"image\": \"%s\"}, %s}]}", IMAGE,
			 not_beside[i]);
		if (parse(text) || !strstr(error, "beside \"container\""))
			test_fail(__FILE__, __LINE__, "%s: %s", not_beside[i], error);
	}
}

TEST(only_what_declares_a_login_takes_an_artifact)
{
#define HUB "{\"stages\": [{\"name\": \"hub\", \"type\": \"config\", \"options\": {\"url\": \"https://hub\"}%s}], "
#define BOX "\"services\": [{\"name\": \"box\", \"container\": {\"image\": \"" IMAGE "\", \"login\": {\"username\": \"u\", " \
	"\"password\": \"a.b\"%s}}}, {\"name\": \"other\", \"container\": {\"image\": \"" IMAGE "\"}}]}"
	struct config *config;
	char text[2048];

	snprintf(text, sizeof(text), HUB BOX, "", "");
	config = parse(text);
	CHECK(config);
	CHECK_STR(config->nodes[1].takes, "config");
	CHECK(!config->nodes[2].takes);
	CHECK_INT(config->nodes[1].prepare_ms > 600000, 1);
	CHECK_INT(config->nodes[0].prepare_ms, 0);
	config_free(config);

	CHECK(!with(IMAGE, "\"login\": {\"username\": \"u\", \"password\": \"a\"}"));
	CHECK(strstr(error, "takes \"config\", which no stage gives"));
	snprintf(text, sizeof(text), HUB BOX, ", \"needs\": [\"box\"]", "");
	CHECK(!parse(text));
	CHECK(strstr(error, "which waits for this stage"));
	snprintf(text, sizeof(text), HUB BOX, "", ", \"artifact\": \"disk-keys\"");
	CHECK(!parse(text));
}

/* The words behind podman's own, joined by spaces. */
/* As the launcher gets it: with the defaults of boot.json, and with the machine's `containers`. */
static struct json_object *complete(const char *json)
{
	struct json_object *service = json_tokener_parse(json), *containers = json_object_object_get(service, "containers");

	if (!containers) {
		containers = json_object_new_object();
		json_object_object_add(service, "containers", containers);
	}
	CHECK_INT(fill_defaults(containers, &containers_keys), 0);
	CHECK_INT(fill_defaults(service, &service_keys), 0);
	return service;
}

static const char *command(enum container_ask ask, const char *json, const char *authfile)
{
	static char text[4096];
	struct json_object *service = complete(json);
	struct container_words words;
	size_t n = 0;

	container_command(ask, service, authfile, &words);
	CHECK(!words.failed);
	CHECK(!words.words[words.n]);
	text[0] = '\0';
	for (size_t i = 0; i < words.n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "", words.words[i]);
	container_free(&words);
	json_object_put(service);
	return text;
}

#define PODMAN(storage) \
	"--root=" storage " --volumepath=" storage "/volumes --runroot=/run/gantry/containers/run " \
	"--tmpdir=/run/gantry/containers/libpod --network-config-dir=/run/gantry/containers/networks " \
	"--storage-driver=overlay --cgroup-manager=cgroupfs --events-backend=none "
#define PLAIN "/usr/bin/podman " PODMAN("/persistent/containers")
#define RUN "run --name=box --hostname=box --rm --pull=never --cgroups=disabled --log-driver=passthrough --no-healthcheck " \
	"--http-proxy=false "

TEST(a_container_that_says_nothing_may_nothing)
{
	CHECK_STR(command(CONTAINER_RUN, "{\"name\": \"box\", \"container\": {\"image\": \"" IMAGE "\"}}", NULL),
		  PLAIN RUN "--sdnotify=ignore --security-opt=no-new-privileges --cap-drop=all --network=none " IMAGE);
}

TEST(each_key_becomes_its_argument)
{
	const char *service =
		"{\"name\": \"box\", \"ready\": {\"notify\": true}, \"limits\": {\"nofile\": 77, \"core\": \"unlimited\"},"
		" \"environment\": {\"A\": \"b c\"}, \"containers\": {\"storage\": \"/s\", \"podman\": \"/p\"},"
		" \"oom_score_adj\": -500,"
		" \"container\": {\"image\": \"" IMAGE "\", \"command\": [\"--x\", \"y z\"], \"volumes\": [\"/a:/b:ro\"],"
		" \"network\": \"bridge\", \"ports\": [\"80:80\"], \"user\": \"7:8\", \"capabilities\": [\"KILL\", \"CHOWN\"],"
		" \"init\": true, \"read_only\": true, \"tmpfs\": [\"/tmp\"]}}";

	CHECK_STR(command(CONTAINER_RUN, service, "/init"),
		  "/p " PODMAN("/s") RUN "--sdnotify=container --security-opt=no-new-privileges --cap-drop=all "
		  "--cap-add=KILL --cap-add=CHOWN --network=bridge --publish=80:80 --user=7:8 --init --init-path=/init --read-only --tmpfs=/tmp "
		  "--volume=/a:/b:ro --ulimit=nofile=77:77 --ulimit=core=-1:-1 --oom-score-adj=-500 --env=A=b c " IMAGE
		  " --x y z");
}

TEST(its_first_process_is_ours_unless_that_is_switched_off_or_could_not_signal_the_program)
{
	static const struct {
		const char *container;
		bool has;
	} cases[] = {
		{"{\"init\": true}", true}, {"{\"init\": false}", false}, {"{\"init\": true, \"capabilities\": [\"SETGID\"]}", true},
		{"{\"init\": true, \"capabilities\": [\"SETGID\", \"SETUID\"]}", false},
		{"{\"init\": true, \"capabilities\": [\"SETUID\", \"KILL\"]}", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_object *container = json_tokener_parse(cases[i].container);

		CHECK_INT(container_has_init(container), cases[i].has);
		json_object_put(container);
	}
}

TEST(on_the_machine_s_network_it_has_a_copy_of_resolv_conf_unless_it_brings_its_own)
{
#define HOST(volumes) "{\"name\": \"box\", \"container\": {\"image\": \"" IMAGE "\", \"network\": \"host\"" volumes "}}"
#define COPY " --volume=/run/gantry/containers/resolv/box:/etc/resolv.conf:ro"
	CHECK(strstr(command(CONTAINER_RUN, HOST(""), NULL), "--network=host" COPY));
	CHECK(strstr(command(CONTAINER_RUN, HOST(", \"volumes\": [\"/x:/etc/resolv.confi\"]"), NULL), COPY " "));
	CHECK(!strstr(command(CONTAINER_RUN, HOST(", \"volumes\": [\"/x:/etc/resolv.conf\"]"), NULL), COPY));
	CHECK(!strstr(command(CONTAINER_RUN, HOST(", \"volumes\": [\"/x:/etc/resolv.conf:ro\"]"), NULL), COPY));
}

TEST(the_registry_is_asked_over_tls_unless_it_is_plain)
{
#define SERVICE(keys) "{\"name\": \"box\", \"container\": {\"image\": \"r.io:5/a@sha256:" HEX "\"" keys "}}"
	CHECK_STR(command(CONTAINER_PULL, SERVICE(""), NULL), PLAIN "pull --tls-verify=true "
		  "--signature-policy=/run/gantry/containers/policy.json --retry=0 r.io:5/a@sha256:" HEX);
	CHECK_STR(command(CONTAINER_PULL, SERVICE(", \"ca\": \"/ca.pem\""), "/auth"),
		  PLAIN "pull --authfile=/auth --tls-verify=true --cert-dir=/run/gantry/containers/login/ca "
		  "--signature-policy=/run/gantry/containers/policy.json --retry=0 r.io:5/a@sha256:" HEX);
	CHECK_STR(command(CONTAINER_LOGIN, SERVICE(", \"plain_http\": true, \"login\": {\"username\": \"joe\", \"password\": \"k\"}"),
			  "/auth"),
		  PLAIN "login --authfile=/auth --tls-verify=false --username=joe --password-stdin r.io:5");
	CHECK_STR(command(CONTAINER_REMOVE, SERVICE(""), NULL), PLAIN "rm --force --ignore --time=0 --volumes box");
	CHECK_STR(command(CONTAINER_CHECK, SERVICE(""), NULL), PLAIN "system check --quick");
	CHECK_STR(command(CONTAINER_REPAIR, SERVICE(""), NULL), PLAIN "system check --quick --repair");
	CHECK_STR(command(CONTAINER_MOUNT, SERVICE(""), NULL), PLAIN "mount box");
	CHECK_STR(command(CONTAINER_LIST, SERVICE(""), NULL), PLAIN "ps --all --no-trunc --format={{.ID}} {{.Names}}");
	CHECK_STR(command(CONTAINER_REMOVE_OTHER, SERVICE(""), "0a"), PLAIN "rm --volumes 0a");
	CHECK_STR(command(CONTAINER_REMOVE_IMAGE, SERVICE(""), "0a"), PLAIN "image rm 0a");
	CHECK_STR(command(CONTAINER_NETWORK, SERVICE(""), NULL),
		  PLAIN "container inspect --format={{.NetworkSettings.SandboxKey}} box");
	CHECK_STR(command(CONTAINER_INSPECT, SERVICE(""), NULL),
		  PLAIN "image inspect --format={{range .RepoDigests}}{{println .}}{{end}} r.io:5/a@sha256:" HEX);
}

TEST(podman_gets_no_environment_but_ours)
{
	struct json_object *service = complete(SERVICE(""));
	struct container_words words;

	container_environment(service, &words);
	CHECK_INT(words.n, 6);
	CHECK_STR(words.words[1], "HOME=/run/gantry/containers");
	CHECK_STR(words.words[2], "TMPDIR=/persistent/containers/tmp/box");
	container_free(&words);
	json_object_put(service);
}

TEST(more_words_than_fit_are_an_error)
{
	struct json_object *service = complete(SERVICE(", \"command\": []"));
	struct json_object *list = json_object_object_get(json_object_object_get(service, "container"), "command");
	struct container_words words;

	for (int i = 0; i < CONTAINER_WORDS_MAX; i++)
		json_object_array_add(list, json_object_new_string("x"));
	container_command(CONTAINER_RUN, service, NULL, &words);
	CHECK(words.failed);
	container_free(&words);
	json_object_put(service);
}
