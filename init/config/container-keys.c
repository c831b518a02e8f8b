/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of a service's `container` and of the top-level `containers`, with the formats of their strings. All of them
 * end up as arguments of podman, so each format is narrower than podman's own: no value can be read as an option, as a
 * second option of a list, or as a tag that moves.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include <gantry/report.h>

#include "container-keys.h"

#define SMALL   "abcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"
#define DIGEST  "@sha256:"
#define DIGEST_DIGITS 64
#define REFERENCE_MAX 255

/* Small letters and digits, with separators between them: '.', '_', "__" or any number of '-'. */
static bool is_component(const char *at, size_t n)
{
	char separator = '\0';
	size_t run = 0;

	for (size_t i = 0; i < n; i++) {
		if (islower((unsigned char)at[i]) || isdigit((unsigned char)at[i])) {
			separator = '\0';
			run = 0;
		} else if (!strchr("._-", at[i]) || i == 0) {
			return false;
		} else if (run == 0) {
			separator = at[i];
			run = 1;
		} else if (at[i] != separator || separator == '.' || (separator == '_' && run == 2)) {
			return false;
		} else {
			run++;
		}
	}
	return n > 0 && run == 0;
}

static bool is_port(const char *at, size_t n)
{
	char digits[6] = "";
	long port;

	if (n == 0 || n > 5 || strspn(at, DIGITS) < n)
		return false;
	memcpy(digits, at, n);
	port = strtol(digits, NULL, 10);
	return port > 0 && port < 65536 && digits[0] != '0';
}

/* A registry: a name with a dot or a port, or localhost. Otherwise podman would search a list of registries. */
static bool is_registry(const char *at, size_t n)
{
	const char *colon = memchr(at, ':', n);
	size_t host = colon ? (size_t)(colon - at) : n;

	if (colon && !is_port(colon + 1, n - host - 1))
		return false;
	if (!colon && !memchr(at, '.', n) && !(n == 9 && !memcmp(at, "localhost", 9)))
		return false;
	return host > 0 && host <= 253 && isalnum((unsigned char)at[0]) && isalnum((unsigned char)at[host - 1]) &&
	       strspn(at, SMALL DIGITS ".-") >= host && !memmem(at, host, "..", 2);
}

static bool fits_image(struct json_object *root, const char *value)
{
	const char *digest = strstr(value, DIGEST), *slash = strchr(value, '/'), *at;

	(void)root;
	if (!digest || !slash || slash > digest || digest - value > REFERENCE_MAX)
		return false;
	if (strspn(digest + strlen(DIGEST), DIGITS "abcdef") != DIGEST_DIGITS ||
	    strlen(digest) != strlen(DIGEST) + DIGEST_DIGITS)
		return false;
	if (!is_registry(value, (size_t)(slash - value)))
		return false;
	for (at = slash; at < digest;) {
		size_t n = strcspn(++at, "/@");

		if (!is_component(at, n))
			return false;
		at += n;
	}
	return true;
}

/* A path that podman does not take apart: it has no ':' and no ','. */
static bool is_plain_path(struct json_object *root, const char *at, size_t n)
{
	char path[1024];

	if (n >= sizeof(path))
		return false;
	memcpy(path, at, n);
	path[n] = '\0';
	return path_format.fits(root, path) && !strpbrk(path, ":,\\");
}

static bool fits_volume(struct json_object *root, const char *value)
{
	size_t source = strcspn(value, ":"), target;
	const char *at = value + source + 1;

	if (!value[source] || !is_plain_path(root, value, source))
		return false;
	target = strcspn(at, ":");
	return target > 1 && is_plain_path(root, at, target) && (!at[target] || !strcmp(at + target, ":ro"));
}

/* [ADDRESS:]PORT:PORT[/udp] */
static bool fits_publish(struct json_object *root, const char *value)
{
	const char *inner = strrchr(value, ':');
	char outer[80], host[64];
	uint16_t port;
	size_t n;

	(void)root;
	if (!inner || inner == value || (size_t)(inner - value) >= sizeof(outer))
		return false;
	n = strcspn(inner + 1, "/");
	if (!is_port(inner + 1, n) || (inner[1 + n] && strcmp(inner + 1 + n, "/udp") && strcmp(inner + 1 + n, "/tcp")))
		return false;
	memcpy(outer, value, (size_t)(inner - value));
	outer[inner - value] = '\0';
	return is_port(outer, strlen(outer)) || address_split(outer, host, sizeof(host), &port);
}

static bool is_account(const char *at, size_t n)
{
	return n > 0 && n <= 31 && strspn(at, SMALL DIGITS "_-") >= n && at[0] != '-';
}

static bool fits_container_user(struct json_object *root, const char *value)
{
	size_t n = strcspn(value, ":");

	(void)root;
	return is_account(value, n) && (!value[n] || (is_account(value + n + 1, strlen(value + n + 1))));
}

static bool fits_tmpfs(struct json_object *root, const char *value)
{
	size_t n = strcspn(value, ":");

	return n > 1 && is_plain_path(root, value, n) &&
	       (!value[n] || (value[n + 1] && strspn(value + n + 1, SMALL DIGITS "=,%") == strlen(value + n + 1)));
}

const struct format image_format = {
	"image", "is not an image with registry and digest (example: \"ghcr.io/org/name@sha256:\" and 64 hex digits)",
	fits_image, NULL};
const struct format volume_format = {
	"volume", "is not a volume (examples: \"/run/reth:/reth\", \"/etc/x:/etc/x:ro\")", fits_volume, NULL};
static const struct format publish_format = {
	"publish", "is not a published port (examples: \"8080:80\", \"127.0.0.1:8080:80\", \"53:53/udp\")",
	fits_publish, NULL};
const struct format container_user_format = {
	"container-user", "is not a user of the image (examples: \"1000:1000\", \"haproxy\")", fits_container_user,
	NULL};
static const struct format tmpfs_format = {
	"tmpfs", "is not a tmpfs (examples: \"/tmp\", \"/tmp:size=64m,mode=1777\")", fits_tmpfs, NULL};
/* 127.x.y.z or localhost, with a port or without. */
static bool is_loopback(const char *image)
{
	size_t n = strcspn(image, ":/");

	return (n == 9 && !strncmp(image, "localhost", n)) ||
	       (!strncmp(image, "127.", 4) && strspn(image, DIGITS ".") >= n);
}

static int check_container(struct check *check, const struct place *place, struct json_object *object)
{
	const char *network = key_string(object, &container_keys, "network");
	bool plain = key_boolean(object, &container_keys, "plain_http");

	if (key_member(object, "ports") && strcmp(network, "bridge"))
		return check_fail_member(check, place, "ports", "\"ports\" requires the network \"bridge\"");
	if (plain && !is_loopback(json_object_get_string(key_member(object, "image"))))
		return check_fail_member(check, place, "plain_http",
					 "\"plain_http\" requires a registry on a loopback address");
	if (plain && key_member(object, "ca"))
		return check_fail_member(check, place, "ca", "\"ca\" cannot be combined with \"plain_http\"");
	return 0;
}

static const char *const networks[] = {"none", "host", "bridge", NULL};

const struct keys login_keys = {(const struct key[]){
	{.name = "username", .type = KEY_STRING, .flags = KEY_REQUIRED, .minimum = 1, .maximum = 255},
	{.name = "artifact", .type = KEY_STRING, .flags = KEY_WRITTEN, .format = &name_format,
	 .fallback = CONFIG_ARTIFACT, IN_NODE(STRING, takes)},
	{.name = "password", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &document_key_format},
	{0}}, NULL};

const struct keys container_keys = {(const struct key[]){
	{.name = "image", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &image_format},
	{.name = "command", .type = KEY_STRINGS, .maximum = 256},
	{.name = "volumes", .type = KEY_STRINGS, .maximum = 64, .format = &volume_format},
	{.name = "network", .type = KEY_STRING, .flags = KEY_WRITTEN, .choices = networks, .fallback = "none"},
	{.name = "ports", .type = KEY_STRINGS, .maximum = 64, .format = &publish_format},
	{.name = "user", .type = KEY_STRING, .format = &container_user_format},
	{.name = "capabilities", .type = KEY_STRINGS, .maximum = 64, .format = &capability_format},
	{.name = "read_only", .type = KEY_BOOLEAN, .flags = KEY_WRITTEN, .fallback = "false"},
	{.name = "init", .type = KEY_BOOLEAN, .flags = KEY_WRITTEN, .fallback = "true"},
	{.name = "tmpfs", .type = KEY_STRINGS, .maximum = 16, .format = &tmpfs_format},
	{.name = "login", .type = KEY_OBJECT, .members = &login_keys},
	{.name = "ca", .type = KEY_STRING, .format = &path_format},
	{.name = "plain_http", .type = KEY_BOOLEAN, .flags = KEY_WRITTEN, .fallback = "false"},
	{.name = "pull_deadline_s", .type = KEY_NUMBER, .flags = KEY_WRITTEN, .minimum = 1, .maximum = 86400,
	 .fallback = "600", IN_NODE(MS, prepare_ms)},
	{0}}, check_container};

const struct keys containers_keys = {(const struct key[]){
	{.name = "storage", .type = KEY_STRING, .flags = KEY_WRITTEN, .format = &path_format,
	 .fallback = "/persistent/containers"},
	{.name = "podman", .type = KEY_STRING, .flags = KEY_WRITTEN, .format = &path_format,
	 .fallback = "/usr/bin/podman"},
	{.name = "keep_unused_s", .type = KEY_NUMBER, .maximum = 31536000, .fallback = "600",
	 IN_CONFIG(MS, keep_unused_ms)},
	{0}}, NULL};
