/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `config`: fetches the node's configuration from BuilderHub, whole and valid or not at all, and passes it on as
 * the artifact `config`; the disk key in it, if there is one, byte for byte as `disk-key`, and a secret to recover the
 * disk by as `disk-recovery`. One request an attempt: the plan tries again for ever, since a refusal is normal until
 * an operator has allowed the node. The document is a secret: its length is reported, never its content.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <mbedtls/sha256.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/stage.h>

#include "stages/lib/document.h"
#include "stages/lib/http.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"
#include "stages/lib/secret.h"

#define CONNECT_MS     10000
#define REQUEST_MS     60000
#define DISK_KEY_MAX   4096
#define DIGEST_SIZE    32
#define FIRST_FREE_PORT 1024	/* net.ipv4.ip_unprivileged_port_start, as the kernel has it */

struct fetch {
	const char *url, *ca;
	size_t maximum;
	struct secret body;	/* room for the announced length, else for `maximum`; `used` bytes count */
	size_t used;
	int memory;		/* whether there was room: 0 or negative errno */
	struct json_object *document;
};

static int begin(void *context, const struct http_response *response)
{
	int64_t said = response->content_length;
	struct fetch *f = context;

	if (said > (int64_t)f->maximum)
		return -EMSGSIZE;
	f->memory = secret_new(said >= 0 ? (size_t)said : f->maximum, &f->body);
	return f->memory;
}

static int sink(void *context, const void *bytes, size_t size)
{
	struct fetch *f = context;

	if (size > f->body.size - f->used)
		return -EMSGSIZE;
	memcpy(f->body.bytes + f->used, bytes, size);
	f->used += size;
	return 0;
}

/* In the clear only to this machine itself: that is where a proxy that proves who it talks to listens. */
static bool is_loopback(const char *url)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
	const char *host = url + strlen("http://");
	size_t n = strcspn(host, ":/?#");

	if (host[0] == '[')
		n = strcspn(host, "]") + 1;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		if (strlen(hosts[i]) == n && strncmp(host, hosts[i], n) == 0 && (!host[n] || strchr(":/?#", host[n])))
			return true;
	}
	return false;
}

/* After is_loopback(): the port of the URL, or 0 if it has none that is a number. */
static long port_of(const char *url)
{
	const char *host = url + strlen("http://"), *end = host + strcspn(host, "/?#");
	const char *colon = host + (host[0] == '[' ? strcspn(host, "]") : 0);
	char *rest;
	long port;

	colon += strcspn(colon, ":/?#");
	if (*colon != ':' || colon + 1 == end)
		return 80;
	port = strtol(colon + 1, &rest, 10);
	return rest == end ? port : 0;
}

/* While the owner of a free port is down, any process may listen there and configure the machine. */
static const char *check_url(const char *url, bool pinned)
{
	long port;

	if (!strncmp(url, "https://", 8) && pinned)
		return NULL;
	if (strncmp(url, "http://", 7) || !is_loopback(url))
		return "\"url\" must be https with a pinned CA (\"ca\"), or http to 127.0.0.1, localhost or [::1]";
	port = port_of(url);
	if (port >= 1 && port < FIRST_FREE_PORT)
		return NULL;
	return "\"url\": any process may listen on a loopback port above 1023 while its owner is down; let the proxy "
	       "listen on one up to 1023, with the capability NET_BIND_SERVICE";
}

static const char *check(struct json_object *options)
{
	const char *url = json_object_get_string(json_object_object_get(options, "url"));
	struct json_object *ca = json_object_object_get(options, "ca");

	return check_url(url, ca && json_object_get_string_len(ca) > 0);
}

static int fetch(struct fetch *f)
{
	const char *headers[] = {"Accept: application/json", NULL};
	struct http_request request = {
		.method = "GET",
		.url = f->url,
		.headers = headers,
		.ca_file = f->ca[0] ? f->ca : NULL,
		.connect_timeout_ms = CONNECT_MS,
		.timeout_ms = REQUEST_MS,
		.maximum_bytes = f->maximum,
		.sink = sink,
		.begin = begin,
		.sink_context = f,
	};
	struct http_response response = {0};
	int r = http_perform(&request, &response);
	long status = response.status;

	if (r == -EMSGSIZE)
		report_result("configuration refused: longer than %zu bytes", f->maximum);
	else if (f->memory < 0)
		report_result("no locked memory for the configuration: %s", strerror(-f->memory));
	else if (r < 0)
		report_result("hub not reached: %s", response.error);
	http_response_free(&response);
	if (r < 0)
		return STAGE_AGAIN;
	if (status == 200)
		return STAGE_DONE;
	if (status == 403)
		report_result("hub refused this node (403): not allowed yet");
	else
		report_result("hub answered %ld", status);
	return STAGE_AGAIN;
}

static int parse(struct fetch *f)
{
	char error[200];

	if (document_parse(f->body.bytes, f->used, &f->document, error, sizeof(error)) == 0)
		return STAGE_DONE;
	report_result("configuration refused: %s", error);
	return STAGE_AGAIN;
}

/* 1: handed over; 0: the document has none; negative errno. */
static int give_secret(struct fetch *f, const char *path, const char *artifact)
{
	struct json_object *secret;
	int n, r;

	if (!path[0] || !document_get(f->document, path, &secret))
		return 0;
	n = json_object_is_type(secret, json_type_string) ? json_object_get_string_len(secret) : 0;
	if (n == 0 || n > DISK_KEY_MAX) {
		report_event(EVENT_WARNING, "%s is not a string of 1 to %d bytes: artifact %s not given", path,
			     DISK_KEY_MAX, artifact);
		return 0;
	}
	r = report_give(artifact, json_object_get_string(secret), (size_t)n);
	return r < 0 ? r : 1;
}

/* The document has the digest of the one that is in use. A document that cannot be compared counts as changed. */
static bool is_current(const struct fetch *f)
{
	_cleanup_(cleanup_close) int fd = -1;
	_cleanup_secret_ struct secret current = {0};
	uint8_t digest[DIGEST_SIZE];

	if (report_take(DIGEST_ARTIFACT, -1, &fd) < 0 || secret_read(fd, DIGEST_SIZE, &current) < 0)
		return false;
	return mbedtls_sha256(f->body.bytes, f->used, digest, 0) == 0 && current.size == sizeof(digest) &&
	       memcmp(current.bytes, digest, sizeof(digest)) == 0;
}

static void take_out(struct json_object *document, const char *path)
{
	const char *dot = strrchr(path, '.');
	char parent_path[256];
	struct json_object *parent = document;

	if (!path[0])
		return;
	snprintf(parent_path, sizeof(parent_path), "%.*s", dot ? (int)(dot - path) : 0, path);
	if ((!dot || document_get(document, parent_path, &parent)) && json_object_is_type(parent, json_type_object))
		json_object_object_del(parent, dot ? dot + 1 : path);
}

/*
 * What PID 1 keeps as long as the machine runs, if it may refresh: the digest, to compare, and the document without
 * the secrets of the disk, to render from again should a later document have to be taken back. Last, since it changes
 * the document.
 */
static int give_kept(struct stage_context *context, struct fetch *f)
{
	uint8_t digest[DIGEST_SIZE];
	const char *text;
	size_t size;
	int r;

	if (!option_boolean(context, "kept"))
		return 0;
	if (mbedtls_sha256(f->body.bytes, f->used, digest, 0) != 0)
		return -EIO;
	take_out(f->document, option_string(context, "disk_key"));
	take_out(f->document, option_string(context, "disk_recovery"));
	text = json_object_to_json_string_length(f->document, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
						 &size);
	if (!text)
		return -ENOMEM;
	r = report_give(KEPT_ARTIFACT, text, size);
	return r < 0 ? r : report_give(DIGEST_ARTIFACT, digest, sizeof(digest));
}

/* Of a machine that runs: the disk is open, so its secrets are not handed out again. */
static int give_again(struct stage_context *context, struct fetch *f)
{
	int r;

	if (is_current(f)) {
		report_skipped("%zu bytes, unchanged", f->used);
		return STAGE_DONE;
	}
	r = report_give("config", f->body.bytes, f->used);
	if (r == 0)
		r = give_kept(context, f);
	if (r < 0) {
		report_result("passing the configuration to PID 1 failed: %s", strerror(-r));
		return STAGE_AGAIN;
	}
	report_result("%zu bytes, changed", f->used);
	return STAGE_DONE;
}

/* Only true is true: a text or a number is reported as an error, and switches nothing on. */
static const char *word_of(struct fetch *f, const char *key)
{
	struct json_object *value = NULL;

	if (!document_get(f->document, key, &value))
		return "missing";
	if (!json_object_is_type(value, json_type_boolean))
		return "invalid";
	return json_object_get_boolean(value) ? "true" : "false";
}

/* PID 1 does not read documents. It put the keys that its services ask for among the options. */
static void tell_flags(struct stage_context *context, struct fetch *f)
{
	struct report_strings strings = {.kind = REPORT_FLAGS};
	struct json_object *keys;
	size_t n;

	keys = option_array(context, "enabled_if", &n);
	for (size_t i = 0; i < n; i++) {
		const char *key = json_object_get_string(json_object_array_get_idx(keys, i));
		char text[256];

		if ((size_t)snprintf(text, sizeof(text), "%s=%s", key, word_of(f, key)) < sizeof(text))
			report_string(&strings, text);
	}
	report_strings_end(&strings);
}

static int give(struct stage_context *context, struct fetch *f, const char *key_path, const char *recovery_path)
{
	int r, key = 0;

	r = report_give("config", f->body.bytes, f->used);
	if (r >= 0)
		r = key = give_secret(f, key_path, "disk-key");
	if (r >= 0)
		r = give_secret(f, recovery_path, "disk-recovery");
	if (r >= 0)
		r = give_kept(context, f);
	if (r < 0) {
		report_result("passing the configuration to PID 1 failed: %s", strerror(-r));
		return STAGE_AGAIN;
	}
	report_result("%zu bytes, %s", f->used, key ? "with a disk key" : "without a disk key");
	return STAGE_DONE;
}

static int run(struct stage_context *context)
{
	static struct fetch f;
	int r;
	const char *wrong = check(context->options);

	if (wrong) {
		report_result("%s", wrong);
		return STAGE_NEVER;
	}
	f.url = option_string(context, "url");
	f.ca = option_string(context, "ca");
	f.maximum = (size_t)option_integer(context, "max_bytes");
	r = fetch(&f);
	if (r == STAGE_DONE)
		r = parse(&f);
	if (r == STAGE_DONE)
		tell_flags(context, &f);
	if (r == STAGE_DONE && context->mode == STAGE_REFRESH)
		r = give_again(context, &f);
	else if (r == STAGE_DONE)
		r = give(context, &f, option_string(context, "disk_key"),
			 option_string(context, "disk_recovery"));
	json_object_put(f.document);
	secret_wipe(&f.body);
	return r;
}

static const struct stage_option options[] = {
	{.name = "url", .type = OPTION_STRING, .required = true, .minimum = 8, .maximum = 2048},
	{.name = "ca", .type = OPTION_STRING, .maximum = 255, .names = OPTION_NAMES_READ, .fallback = ""},
	{.name = "max_bytes", .type = OPTION_INTEGER, .minimum = 2, .maximum = ARTIFACT_SIZE_MAX,
	 .fallback = "1048576"},
	{.name = "disk_key", .type = OPTION_STRING, .maximum = 120, .fallback = "disk_encryption.key"},
	{.name = "disk_recovery", .type = OPTION_STRING, .maximum = 120, .fallback = "disk_encryption.recovery"},
	{0},
};

static const char *const gives[] = {"config", "disk-key", "disk-recovery", KEPT_ARTIFACT, DIGEST_ARTIFACT, NULL};

static const struct stage_path paths[] = {
	{.option = "ca", .access = STAGE_READS},
	{0},
};

const struct stage stage_config = {
	.type = "config",
	.gives = gives,
	.options = options,
	.refresh = STAGE_FETCHES,
	.deadline_s = 90,
	.retry_limit = 0,
	.check = check,
	.user = "gantry-config",
	.calls = STAGE_CALLS_FETCH,
	.paths = paths,
	.run = run,
};
