/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1 has checked boot.json before; only values that could make this process misbehave are checked again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/cleanup.h>

#include "init/config/format.h"
#include "init/lib/member.h"
#include "init/lib/options.h"
#include "link.h"
#include "options.h"

/* "0.0.0.0:3535", "[::]:3535" or ":3535" (every address, both families). */
static int parse_listen(struct api_options *o, const char *listen)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&o->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&o->address;
	const char *colon = strrchr(listen, ':');
	char host[64] = "", *end;
	size_t n = colon ? (size_t)(colon - listen) : 0;
	unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;

	if (!colon || port == 0 || port > 65535 || *end || n >= sizeof(host) ||
	    snprintf(o->listen, sizeof(o->listen), "%s", listen) >= (int)sizeof(o->listen))
		return -EINVAL;
	if (n > 2 && listen[0] == '[' && listen[n - 1] == ']')
		memcpy(host, listen + 1, n - 2);
	else
		memcpy(host, listen, n);
	if (n == 0)
		snprintf(host, sizeof(host), "::");
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		o->address_size = sizeof(*in);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		o->address_size = sizeof(*in6);
		return 0;
	}
	return -EINVAL;
}

static void parse_hosts(struct api_options *o, struct json_object *hosts)
{
	size_t n = json_object_is_type(hosts, json_type_array) ? json_object_array_length(hosts) : 0;

	for (size_t i = 0; i < n && o->n_hosts < API_HOSTS_MAX; i++) {
		const char *host = json_object_get_string(json_object_array_get_idx(hosts, i));

		if (host && *host && strlen(host) < API_HOST_MAX)
			snprintf(o->hosts[o->n_hosts++], API_HOST_MAX, "%s", host);
	}
}

bool api_hosts_parse(struct api_options *o, const char *text)
{
	char hosts[API_HOSTS_MAX][API_HOST_MAX];
	size_t n_hosts = 0;

	while (*text) {
		size_t n = strcspn(text, "\n"), begin = strspn(text, " \t"), end = n;

		while (end > begin && strchr(" \t\r", text[end - 1]))
			end--;
		if (begin < end && text[begin] != '#') {
			if (n_hosts == API_HOSTS_MAX || end - begin >= API_HOST_MAX)
				return false;
			snprintf(hosts[n_hosts], API_HOST_MAX, "%.*s", (int)(end - begin), text + begin);
			if (!certificate_name_fits(hosts[n_hosts++]))
				return false;
		}
		text += n + (text[n] == '\n');
	}
	if (n_hosts == 0)
		return false;
	memcpy(o->hosts, hosts, sizeof(hosts));
	o->n_hosts = n_hosts;
	return true;
}

static void copy(char *to, size_t size, struct json_object *value)
{
	const char *string = value ? json_object_get_string(value) : "";

	snprintf(to, size, "%s", string && strlen(string) < size ? string : "");
}

/* A path is of any length that the check of boot.json admits. NULL: no memory. */
static const char *path(struct json_object *object, const char *name)
{
	const char *string = json_object_get_string(key_member(object, name));

	return string ? strdup(string) : "";
}

/* 1 to maximum; the check of boot.json sees to it, and adds the default. */
static size_t number(struct json_object *object, const char *name, size_t maximum)
{
	int64_t n = json_object_get_int64(key_member(object, name));

	return n < 1 ? 1 : n > (int64_t)maximum ? maximum : (size_t)n;
}

static bool is(struct json_object *value, const char *string)
{
	return value && !strcmp(json_object_get_string(value), string);
}

static size_t length(struct json_object *array, size_t maximum)
{
	size_t n = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

	return n < maximum ? n : maximum;
}

static void parse_acts(struct api_options *o, struct json_object *object)
{
	struct json_object *actions = key_member(object, "actions"), *uploads = key_member(object, "uploads");

	o->n_actions = length(actions, CONFIG_ACTIONS_MAX);
	for (size_t i = 0; i < o->n_actions; i++)
		copy(o->actions[i], sizeof(o->actions[i]), key_member(json_object_array_get_idx(actions, i), "name"));
	o->n_uploads = length(uploads, CONFIG_UPLOADS_MAX);
	for (size_t i = 0; i < o->n_uploads; i++) {
		struct json_object *upload = json_object_array_get_idx(uploads, i);

		copy(o->uploads[i].name, sizeof(o->uploads[i].name), key_member(upload, "name"));
		o->uploads[i].path = path(upload, "path");
		o->uploads[i].max_bytes = number(upload, "max_bytes", 64 << 20);
	}
}

static bool has_paths(const struct api_options *o)
{
	bool all = o->hosts_file && o->certificate && o->key && o->password_file;

	for (size_t i = 0; i < o->n_uploads; i++)
		all &= o->uploads[i].path != NULL;
	return all;
}

int api_options_parse(struct api_options *ret, const char *json, char *error, size_t error_size)
{
	struct json_object *object = json_tokener_parse(json);
	struct api_options *o = calloc(1, sizeof(*o));
	const char *listen;
	int r = -EINVAL;

	if (!o || !json_object_is_type(object, json_type_object)) {
		snprintf(error, error_size, "options are not a JSON object");
		goto out;
	}
	listen = json_object_get_string(key_member(object, "listen"));
	r = listen ? parse_listen(o, listen) : -EINVAL;
	if (r < 0)
		snprintf(error, error_size, "listen \"%.64s\": not ADDRESS:PORT", listen ? listen : "");
	parse_hosts(o, key_member(object, "tls_hosts"));
	parse_acts(o, object);
	o->connections = number(object, "connections", LINK_SLOTS_MAX);
	o->connections_per_address = number(object, "connections_per_address", LINK_SLOTS_MAX);
	o->hosts_file = path(object, "tls_hosts_file");
	o->certificate = path(object, "tls_certificate");
	o->key = path(object, "tls_key");
	o->password_file = path(object, "password_file");
	if (r == 0 && !has_paths(o)) {
		r = -ENOMEM;
		snprintf(error, error_size, "%s", strerror(-r));
	}
	copy(o->salt, sizeof(o->salt), key_member(object, "password_salt"));
	o->create = json_object_get_boolean(key_member(object, "tls_create"));
	o->slow_hash = is(key_member(object, "password_hash"), "pbkdf2-sha256");
	o->nothing_before_unlock = is(key_member(object, "before_unlock"), "nothing");
	if (r == 0)
		*ret = *o;
out:
	json_object_put(object);
	free(o);
	return r;
}

int api_options_read(struct api_options *ret, char *error, size_t error_size)
{
	_cleanup_(cleanup_free) char *json = NULL;
	int r = options_text(CONFIG_SIZE_MAX, &json, NULL);

	if (r < 0) {
		snprintf(error, error_size, "%s", strerror(-r));
		return r;
	}
	return api_options_parse(ret, json, error, error_size);
}
