/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any strings, each ended by NUL, as the environment of the hook of dhcpcd: what goes into the lease file and into
 * resolv.conf are whole lines of known keys, whose values have no byte that means anything to a reader, and a lease that is
 * read of its own values is the same.
 */
/* links: stages/net/lease.c init/lib */
#include <arpa/inet.h>
#include <string.h>

#include "stages/cloud/cloud.h"
#include "stages/net/lease.h"
#include "target.h"

#define VARIABLES_MAX 200

extern char **environ;

static const struct cloud cloud = {.lease_variable = "new_unknown_245", .lease_key = "wireserver"};
const struct cloud *const clouds[] = {&cloud, NULL};

static bool is_address(const char *text)
{
	struct in_addr a;
	char again[INET_ADDRSTRLEN];

	return inet_pton(AF_INET, text, &a) == 1 && inet_ntop(AF_INET, &a, again, sizeof(again)) && !strcmp(text, again);
}

static bool is_value(const char *key, const char *value)
{
	static const char words[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t n = strlen(value);

	if (!strcmp(key, "interface"))
		return n < 16 && strspn(value, words) == n;
	if (!strcmp(key, "domain") || !strcmp(key, "search"))
		return n < 256 && strspn(value + strspn(value, " "), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. ") ==
		       n - strspn(value, " ");
	if (!strcmp(key, "prefix"))
		return atoi(value) >= 0 && atoi(value) <= 32 && strspn(value, "0123456789") == n;
	if (!strcmp(key, "lease_s"))
		return n > 0 && n <= 10 && strspn(value, "0123456789") == n;
	if (!strcmp(key, "address") || !strcmp(key, "router"))
		return !n || is_address(value);
	return (!strcmp(key, "nameserver") || !strcmp(key, "wireserver")) && is_address(value);
}

static void check_lines(const char *text, size_t size, char separator, size_t most)
{
	size_t lines = 0;

	must(size == strlen(text) && size < LEASE_TEXT_MAX - 1, "nothing is cut");
	for (const char *at = text, *end; *at; at = end + 1, lines++) {
		const char *mark = strchr(at, separator);
		char key[32], value[300];

		end = strchr(at, '\n');
		must(end && mark && mark < end && mark - at < 32 && end - mark < 300, "a line is a key and a value");
		*(char *)mempcpy(key, at, (size_t)(mark - at)) = '\0';
		*(char *)mempcpy(value, mark + 1, (size_t)(end - mark - 1)) = '\0';
		must(is_value(key, value), "a known key with a harmless value");
	}
	must(lines <= most, "no more lines than there are keys");
}

static void add(char **at, char **variables, size_t *n, const char *name, const char *value)
{
	variables[(*n)++] = *at;
	*at += sprintf(*at, "%s=%s", name, value) + 1;
}

static void check_again(const struct lease *lease)
{
	static char bytes[4096];
	char *variables[16], *at = bytes, number[32], servers[LEASE_SERVERS_MAX * INET_ADDRSTRLEN + 1] = "";
	struct lease again;
	size_t n = 0;

	for (size_t i = 0; i < lease->n_servers; i++)
		strcat(strcat(servers, i ? " " : ""), lease->servers[i]);
	add(&at, variables, &n, "interface", lease->interface);
	add(&at, variables, &n, "new_ip_address", lease->address);
	add(&at, variables, &n, "new_routers", lease->router);
	add(&at, variables, &n, "new_domain_name", lease->domain);
	add(&at, variables, &n, "new_domain_name_servers", servers);
	add(&at, variables, &n, "new_unknown_245", lease->platform[0]);
	snprintf(number, sizeof(number), "%u", lease->prefix);
	add(&at, variables, &n, "new_subnet_cidr", number);
	snprintf(number, sizeof(number), "%lu", lease->lease_s);
	add(&at, variables, &n, "new_dhcp_lease_time", number);
	variables[n] = NULL;
	environ = variables;
	lease_read(&again);
	must(again.n_ignored == 0, "its own servers are good");
	again.n_ignored = lease->n_ignored;
	for (size_t i = again.n_servers; i < LEASE_SERVERS_MAX; i++)	/* one that was refused may lie behind the last one */
		memset(again.servers[i], 0, sizeof(again.servers[i]));
	must(!memcmp(&again, lease, sizeof(again)), "a lease read of its own values is the same");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *variables[VARIABLES_MAX + 1], **before = environ, *copy = malloc(size + 1);
	char text[LEASE_TEXT_MAX];
	struct lease lease;
	size_t n = 0;

	memcpy(copy, bytes, size);
	copy[size] = '\0';
	for (size_t at = 0; at < size && n < VARIABLES_MAX; at += strlen(copy + at) + 1)
		variables[n++] = copy + at;
	variables[n] = NULL;
	memset(&lease, 0x55, sizeof(lease));
	environ = variables;
	lease_read(&lease);
	check_lines(text, lease_state(&lease, text), '=', 6 + LEASE_SERVERS_MAX + 1);
	check_lines(text, lease_resolv_conf(&lease, text), ' ', 1 + LEASE_SERVERS_MAX);
	check_again(&lease);
	environ = before;
	free(copy);
	return 0;
}
