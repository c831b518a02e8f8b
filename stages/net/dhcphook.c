/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role dhcp-hook: the script that dhcpcd runs on every change of a lease, as dhcpcd's user. The environment holds bytes
 * chosen by a DHCP server, so each value is parsed and formatted again; a value that does not parse is ignored. Before
 * the first is parsed, the process has given up all but writing into one folder and sending an event. Files are
 * replaced by rename: a reader sees the old lease or the new one, never a part.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/control.h>
#include <gantry/stage.h>

#include "init/lib/landlock.h"
#include "init/lib/restrict.h"
#include "stages/cloud/cloud.h"

#define CLOUDS_MAX  8
#define SERVERS_MAX 3	/* a resolver reads no more */

struct lease {
	char interface[16];
	char address[INET_ADDRSTRLEN];
	unsigned prefix;
	char routers[256];
	char servers[SERVERS_MAX][INET_ADDRSTRLEN];
	size_t n_servers;
	char domain[256];
	char platform[CLOUDS_MAX][INET_ADDRSTRLEN];	/* of the option that each cloud has */
	unsigned long lease_s;
};

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One datagram, one event. Before PID 1 has its socket, only the lease file is written. */
static void say(const char *fmt, ...)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = EVENT_SOCKET};
	_cleanup_(cleanup_close) int fd = -1;
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || n < 0)
		return;
	(void)sendto(fd, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1, MSG_NOSIGNAL,
		     (struct sockaddr *)&address, sizeof(address));
}

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

static void parse_lease(struct lease *l)
{
	_cleanup_(cleanup_free) char *copy = NULL, *routers = NULL;
	const char *interface = getenv("interface");
	const char *servers = getenv("new_domain_name_servers");
	const char *search = getenv("new_domain_search");
	char *save = NULL;

	for (size_t i = 0; interface && interface[i] && i + 1 < sizeof(l->interface); i++) {
		if (isalnum((unsigned char)interface[i]) || strchr("-_.", interface[i]))
			l->interface[i] = interface[i];
		else
			break;
	}
	(void)parse_address(getenv("new_ip_address"), l->address);
	l->prefix = (unsigned)parse_number(getenv("new_subnet_cidr"), 32);
	l->lease_s = parse_number(getenv("new_dhcp_lease_time"), UINT32_MAX);
	for (size_t i = 0; i < CLOUDS_MAX && clouds[i]; i++)
		if (clouds[i]->lease_variable)
			(void)parse_address(getenv(clouds[i]->lease_variable), l->platform[i]);
	if (!parse_domain(search, l->domain, sizeof(l->domain)))
		(void)parse_domain(getenv("new_domain_name"), l->domain, sizeof(l->domain));
	copy = strdup(servers ? servers : "");
	for (char *p = copy ? strtok_r(copy, " ", &save) : NULL; p && l->n_servers < SERVERS_MAX;
	     p = strtok_r(NULL, " ", &save)) {
		if (parse_address(p, l->servers[l->n_servers]))
			l->n_servers++;
		else
			say("dhcp: ignored a name server that is not an IPv4 address");
	}
	routers = strdup(getenv("new_routers") ? getenv("new_routers") : "");
	if (routers) {
		char *first = strtok_r(routers, " ", &save);

		if (first)
			(void)parse_address(first, l->routers);
	}
}

static int replace(const char *path, const char *text, size_t size)
{
	_cleanup_(cleanup_close) int fd = -1;
	char temporary[256];
	ssize_t n;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >= sizeof(temporary))
		return -ENAMETOOLONG;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	n = write(fd, text, size);
	if (n != (ssize_t)size || fchmod(fd, 0644) < 0 || rename(temporary, path) < 0) {
		int r = n >= 0 && n != (ssize_t)size ? -ENOSPC : -errno;

		unlink(temporary);
		return r;
	}
	return 0;
}

static int write_resolv_conf(const struct lease *l)
{
	char text[1024] = "";
	size_t n = 0;

	if (l->domain[0])
		n += (size_t)snprintf(text + n, sizeof(text) - n, "search %s\n", l->domain);
	for (size_t i = 0; i < l->n_servers; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "nameserver %s\n", l->servers[i]);
	return replace(DHCP_RESOLV_CONF, text, n);
}

static int write_state(const struct lease *l)
{
	char text[2048];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text),
			     "interface=%s\naddress=%s\nprefix=%u\nrouter=%s\ndomain=%s\nlease_s=%lu\n",
			     l->interface, l->address, l->prefix, l->routers, l->domain, l->lease_s);
	for (size_t i = 0; i < l->n_servers; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "nameserver=%s\n", l->servers[i]);
	for (size_t i = 0; i < CLOUDS_MAX && clouds[i]; i++)
		if (l->platform[i][0])
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s=%s\n", clouds[i]->lease_key,
					      l->platform[i]);
	return replace(DHCP_LEASE, text, n);
}

static bool one_of(const char *word, const char *const words[])
{
	for (size_t i = 0; words[i]; i++) {
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

/* Those of libc, too: opening and renaming a file, the heap, one datagram. */
static const int calls[] = {
	SCMP_SYS(brk), SCMP_SYS(close), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fchmod), SCMP_SYS(fcntl),
	SCMP_SYS(getpid), SCMP_SYS(madvise), SCMP_SYS(munmap), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(rename),
	SCMP_SYS(renameat), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sendto), SCMP_SYS(socket),
	SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(write),
};

static int confine(void)
{
	static const struct restriction restriction = {.lists[0] = SYSFILTER_LIST(SCMP_ACT_ALLOW, calls)};
	_cleanup_(cleanup_close) int folder = open(DHCP_FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct landlock_place place = {folder, LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
						     LANDLOCK_ACCESS_FS_REMOVE_FILE};
	const struct landlock with = {.places = &place, .n_places = 1, .scoped = true};
	int r = folder < 0 ? -errno : restrict_capabilities();

	if (r == 0)
		r = landlock_restrict(&with);
	return r < 0 ? r : restrict_calls(&restriction);
}

int dhcp_hook_main(int argc, char **argv)
{
	static const char *const bound[] = {"BOUND", "RENEW", "REBIND", "REBOOT", "INFORM", "STATIC", NULL};
	static const char *const lost[] = {"EXPIRE", "NAK", "FAIL", "TIMEOUT", "NOCARRIER", NULL};
	const char *reason = getenv("reason");
	struct lease lease = {0};
	int r;

	(void)argc;
	(void)argv;
	umask(0022);
	if (!reason)
		return 1;
	if (!one_of(reason, bound) && !one_of(reason, lost))
		return 0;
	r = confine();
	if (r < 0) {
		say("dhcp: the hook could not be confined and did nothing: %s", strerror(-r));
		return 1;
	}
	parse_lease(&lease);
	if (one_of(reason, lost)) {
		say("dhcp: %s %s", lease.interface, reason);
		return 0;
	}
	if (!lease.address[0])
		return 0;
	/* resolv.conf comes last: stage `network` waits for it, and then the rest must be there. */
	r = write_state(&lease);
	if (r < 0)
		say("dhcp: %s not written: %s", DHCP_LEASE, strerror(-r));
	r = lease.n_servers ? write_resolv_conf(&lease) : 0;
	if (r < 0)
		say("dhcp: %s not written: %s", DHCP_RESOLV_CONF, strerror(-r));
	/* A renewal without change is not reported. */
	if (strcmp(reason, "RENEW") != 0)
		say("dhcp: %s %s %s/%u router %s lease %lu s", lease.interface, reason, lease.address, lease.prefix,
		    lease.routers[0] ? lease.routers : "none", lease.lease_s);
	return r < 0 ? 1 : 0;
}
