/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1 has checked boot.json before; what is checked here is only what could make this process misbehave.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

#define LISTEN_DEFAULT "0.0.0.0:3535"

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
		strcpy(host, "::");
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
			strcpy(o->hosts[o->n_hosts++], host);
	}
	if (o->n_hosts == 0)
		strcpy(o->hosts[o->n_hosts++], "localhost");
}

int api_options_parse(struct api_options *ret, const char *json, char *error, size_t error_size)
{
	struct json_object *object = json_tokener_parse(json), *value;
	struct api_options o = {0};
	const char *listen = LISTEN_DEFAULT;
	int r;

	if (!json_object_is_type(object, json_type_object)) {
		snprintf(error, error_size, "options are not a JSON object");
		json_object_put(object);
		return -EINVAL;
	}
	if (json_object_object_get_ex(object, "listen", &value) && json_object_get_string(value))
		listen = json_object_get_string(value);
	r = parse_listen(&o, listen);
	if (r < 0)
		snprintf(error, error_size, "listen \"%.64s\": not ADDRESS:PORT", listen);
	value = NULL;
	json_object_object_get_ex(object, "tls_hosts", &value);
	parse_hosts(&o, value);
	if (json_object_object_get_ex(object, "before_unlock", &value) && json_object_get_string(value))
		o.nothing_before_unlock = strcmp(json_object_get_string(value), "nothing") == 0;
	json_object_put(object);
	if (r == 0)
		*ret = o;
	return r;
}
