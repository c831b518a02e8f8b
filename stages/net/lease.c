/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements lease.h. */
#define _GNU_SOURCE
#include "lease.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/cleanup.h>

#include "init/lib/text.h"
#include "stages/cloud/cloud.h"

/* The canonical text of an IPv4 address given as text; false if it is none. */
static bool parse_address(const char *text, char ret[INET_ADDRSTRLEN])
{
	struct in_addr a;

	return text && inet_pton(AF_INET, text, &a) == 1 && inet_ntop(AF_INET, &a, ret, INET_ADDRSTRLEN);
}

static unsigned long parse_number(const char *text, unsigned long maximum)
{
	char *end;
	unsigned long n;

	if (!text || !isdigit((unsigned char)text[0]))
		return 0;
	errno = 0;
	n = strtoul(text, &end, 10);
	return errno || *end || n > maximum ? 0 : n;
}

/* A list of DNS names, separated by single spaces: letters, digits, '-', '_' and dots only. */
static bool parse_domain(const char *text, char *ret, size_t ret_size)
{
	if (!text || !text[0] || strlen(text) >= ret_size)
		return false;
	for (const char *p = text; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("-_. ", *p))
			return false;
	}
	strcpy(ret, text);
	return true;
}

void lease_read(struct lease *l)
{
	_cleanup_(cleanup_free) char *copy = NULL, *routers = NULL;
	const char *interface = getenv("interface");
	const char *servers = getenv("new_domain_name_servers");
	const char *search = getenv("new_domain_search");
	char *save = NULL;

	*l = (struct lease){0};
	for (size_t i = 0; interface && interface[i] && i + 1 < sizeof(l->interface); i++) {
		if (isalnum((unsigned char)interface[i]) || strchr("-_.", interface[i]))
			l->interface[i] = interface[i];
		else
			break;
	}
	(void)parse_address(getenv("new_ip_address"), l->address);
	l->prefix = (unsigned)parse_number(getenv("new_subnet_cidr"), 32);
	l->lease_s = parse_number(getenv("new_dhcp_lease_time"), UINT32_MAX);
	for (size_t i = 0; i < LEASE_CLOUDS_MAX && clouds[i]; i++)
		if (clouds[i]->lease_variable)
			(void)parse_address(getenv(clouds[i]->lease_variable), l->platform[i]);
	if (!parse_domain(search, l->domain, sizeof(l->domain)))
		(void)parse_domain(getenv("new_domain_name"), l->domain, sizeof(l->domain));
	copy = strdup(servers ? servers : "");
	for (char *p = copy ? strtok_r(copy, " ", &save) : NULL; p && l->n_servers < LEASE_SERVERS_MAX;
	     p = strtok_r(NULL, " ", &save)) {
		if (parse_address(p, l->servers[l->n_servers]))
			l->n_servers++;
		else
			l->n_ignored++;
	}
	routers = strdup(getenv("new_routers") ? getenv("new_routers") : "");
	if (routers) {
		char *first = strtok_r(routers, " ", &save);

		if (first)
			(void)parse_address(first, l->router);
	}
}

size_t lease_state(const struct lease *l, char ret[LEASE_TEXT_MAX])
{
	struct text t = {.bytes = ret, .room = LEASE_TEXT_MAX - 1};

	text_printf(&t, "interface=%s\naddress=%s\nprefix=%u\nrouter=%s\ndomain=%s\nlease_s=%lu\n",
		    l->interface, l->address, l->prefix, l->router, l->domain, l->lease_s);
	for (size_t i = 0; i < l->n_servers; i++)
		text_printf(&t, "nameserver=%s\n", l->servers[i]);
	for (size_t i = 0; i < LEASE_CLOUDS_MAX && clouds[i]; i++)
		if (l->platform[i][0])
			text_printf(&t, "%s=%s\n", clouds[i]->lease_key, l->platform[i]);
	ret[t.size] = '\0';
	return t.size;
}

size_t lease_resolv_conf(const struct lease *l, char ret[LEASE_TEXT_MAX])
{
	struct text t = {.bytes = ret, .room = LEASE_TEXT_MAX - 1};

	if (l->domain[0])
		text_printf(&t, "search %s\n", l->domain);
	for (size_t i = 0; i < l->n_servers; i++)
		text_printf(&t, "nameserver %s\n", l->servers[i]);
	ret[t.size] = '\0';
	return t.size;
}
