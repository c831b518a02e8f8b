/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements ports.h. A service that is not enabled, or is by another key of the document, may be there instead of one
 * that has the same port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api-keys.h"
#include "container-keys.h"
#include "fill.h"
#include "ports.h"

struct port {
	uint16_t number;
	bool udp;
	char host[64];
	size_t service;			/* index; SIZE_MAX: the API */
	uint32_t item;			/* of `ports`; UINT32_MAX: `ready.tcp` */
	struct json_object *object;	/* of the service */
};

struct ports {
	struct port *list;
	size_t n, room;
};

static void add(struct ports *all, const char *address, struct port port)
{
	char *end;

	/* [ADDRESS:]PORT */
	if (strchr(address, ':')) {
		if (!address_split(address, port.host, sizeof(port.host), &port.number))
			return;
	} else {
		snprintf(port.host, sizeof(port.host), "0.0.0.0");
		port.number = (uint16_t)strtoul(address, &end, 10);
	}
	if (all->n == all->room) {
		size_t room = all->room ? 2 * all->room : 64;
		struct port *grown = realloc(all->list, room * sizeof(*grown));

		if (!grown)
			return;
		all->list = grown;
		all->room = room;
	}
	all->list[all->n++] = port;
}

/* [ADDRESS:]PORT:INNER[/PROTOCOL]: what is in front of the inner port. */
static void add_published(struct ports *all, const char *value, struct port port)
{
	const char *inner = strrchr(value, ':'), *protocol = strchr(inner, '/');
	char outer[80];

	if ((size_t)(inner - value) >= sizeof(outer))
		return;
	memcpy(outer, value, (size_t)(inner - value));
	outer[inner - value] = '\0';
	port.udp = protocol && !strcmp(protocol, "/udp");
	add(all, outer, port);
}

static void add_service(struct ports *all, struct json_object *service, size_t index)
{
	struct json_object *container = key_member(service, "container");
	struct json_object *tcp = key_member(key_member(service, "ready"), "tcp");
	struct json_object *published = key_member(container, "ports"), *enabled = key_member(service, "enabled");
	struct port port = {.service = index, .item = UINT32_MAX, .object = service};

	if (enabled && !json_object_get_boolean(enabled))
		return;
	if (tcp && !(container && !strcmp(key_string(container, &container_keys, "network"), "none")))
		add(all, json_object_get_string(tcp), port);
	for (size_t i = 0; i < fill_count(published); i++) {
		port.item = (uint32_t)i;
		add_published(all, json_object_get_string(json_object_array_get_idx(published, i)), port);
	}
}

static int by_number(const void *a, const void *b)
{
	const struct port *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	if (x->service != y->service)
		return x->service < y->service ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item;
}

static const char *word_of(const struct port *port, const char *key)
{
	return json_object_get_string(key_member(port->object, key));
}

/* The API has no key: it is always there. */
static bool instead(const struct port *a, const struct port *b)
{
	const char *one = word_of(a, "enabled_if"), *other = word_of(b, "enabled_if");

	return one && other && strcmp(one, other);
}

static bool is_any(const char *host)
{
	return !strcmp(host, "0.0.0.0") || !strcmp(host, "::");
}

static bool meet(const struct port *a, const struct port *b)
{
	return a->number == b->number && a->udp == b->udp && a->service != b->service &&
	       (is_any(a->host) || is_any(b->host) || !strcmp(a->host, b->host)) && !instead(a, b);
}

static void warn(struct check *check, const struct port *port, const struct port *other)
{
	static const struct place top;
	const struct place list = {.up = &top, .key = "services"};
	const struct place service = {.up = &list, .index = (uint32_t)port->service, .label = word_of(port, "name")};
	const bool ready = port->item == UINT32_MAX;
	const struct place section = {.up = &service, .key = ready ? "ready" : "container"};
	const struct place key = {.up = &section, .key = ready ? "tcp" : "ports"};
	const struct place item = {.up = &key, .index = port->item};
	char quoted[CHECK_QUOTED_MAX];

	check_warn(check, ready ? &key : &item, "port %u is also that of %s", port->number,
		   other->service == SIZE_MAX ? "the API" : check_quote(quoted, word_of(other, "name")));
}

void ports_warn(struct check *check)
{
	struct json_object *services = key_member(check->root, "services"), *api = key_member(check->root, "api");
	struct ports all = {0};

	for (size_t i = 0; i < fill_count(services); i++)
		add_service(&all, json_object_array_get_idx(services, i), i);
	if (api)
		add(&all, key_string(api, &api_keys, "listen"), (struct port){.service = SIZE_MAX});
	if (all.n)
		qsort(all.list, all.n, sizeof(*all.list), by_number);
	/* Each once: with the first before it, or with the API, which sorts last. */
	for (size_t i = 0; i < all.n; i++) {
		for (size_t j = i; j-- > 0 && all.list[j].number == all.list[i].number;)
			if (meet(&all.list[i], &all.list[j])) {
				if (all.list[i].service == SIZE_MAX)
					warn(check, &all.list[j], &all.list[i]);
				else
					warn(check, &all.list[i], &all.list[j]);
				break;
			}
	}
	free(all.list);
}
