/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `network`: waits until the network is usable: a NIC, its link, an IPv4 address, a default route through it, and
 * resolv.conf. It configures nothing: PID 1 has set lo up, and dhcpcd runs as a service beside it; the stage fails if
 * that has more rights than it should have. It waits by notification (rtnetlink, inotify); the first missing item is
 * reported every ten seconds and is the stage's result until then, so that a deadline ends it with the right reason.
 * In the mode "watch" it stays on that card, and reports each change of what it found: a lease that ends, another
 * address, route or name server.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "dhcpcd.h"
#include "netlink.h"
#include "stages/lib/backoff.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"

#define SAY_EVERY_MS    10000
#define RESOLV_CONF_MAX 16384
#define LOOKS           50	/* at dhcpcd, which starts a process now and then: that is confined a moment later */
#define LOOK_EVERY_MS   20
#define SETTLE_MS       300	/* a change comes in pieces: address, route, resolv.conf */
#define SERVERS_MAX     3
#define STATE_MAX       320

struct wait {
	const char *interface;
	const char *resolv_conf;
	int netlink;
	int inotify;
	struct netlink_view view;
	char servers[SERVERS_MAX * INET6_ADDRSTRLEN];	/* the name servers, with spaces between */
	char missing[256];	/* the first missing item; empty: none */
};

/* At least one nameserver line counts; an empty file is dhcpcd's or our hook's first half. */
static void read_nameservers(struct wait *w)
{
	static char text[RESOLV_CONF_MAX + 1];
	_cleanup_(cleanup_close) int fd = open(w->resolv_conf, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, RESOLV_CONF_MAX);
	size_t size = 0;
	char *line = text;

	text[n > 0 ? n : 0] = '\0';
	w->servers[0] = '\0';
	for (int found = 0; *line && found < SERVERS_MAX; line += strcspn(line, "\n"), line += *line == '\n') {
		char server[INET6_ADDRSTRLEN];

		if (sscanf(line, "nameserver %45[0-9a-fA-F.:]", server) == 1 && ++found)
			size += (size_t)snprintf(w->servers + size, sizeof(w->servers) - size, "%s%s", size ? " " : "",
						 server);
	}
}

static void look(struct wait *w)
{
	const struct netlink_link *nic = netlink_nic(&w->view, w->interface);

	w->missing[0] = '\0';
	read_nameservers(w);
	if (!nic && w->interface[0])
		snprintf(w->missing, sizeof(w->missing), "no network interface named %s", w->interface);
	else if (!nic)
		snprintf(w->missing, sizeof(w->missing), "no network interface");
	else if (!(nic->flags & IFF_UP))
		snprintf(w->missing, sizeof(w->missing), "%s is down", nic->name);
	else if (!(nic->flags & IFF_RUNNING))
		snprintf(w->missing, sizeof(w->missing), "%s has no link", nic->name);
	else if (!netlink_address(&w->view, nic->index))
		snprintf(w->missing, sizeof(w->missing), "no IPv4 address on %s", nic->name);
	else if (!netlink_default_route(&w->view, nic->index))
		snprintf(w->missing, sizeof(w->missing), "no default route on %s", nic->name);
	else if (w->resolv_conf[0] && !w->servers[0])
		snprintf(w->missing, sizeof(w->missing), "no nameserver in %s", w->resolv_conf);
}

/* Of a network that lacks nothing: its facts, and in text "10.0.0.4/24 via 10.0.0.1 on eth0". */
static void describe(const struct wait *w, char *text, size_t size)
{
	const struct netlink_link *nic = netlink_nic(&w->view, w->interface);
	const struct netlink_address *address = netlink_address(&w->view, nic->index);
	const struct netlink_route *route = netlink_default_route(&w->view, nic->index);
	bool routed = route->gateway.s_addr;
	char a[INET_ADDRSTRLEN], g[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &address->address, a, sizeof(a));
	inet_ntop(AF_INET, &route->gateway, g, sizeof(g));
	report_fact("interface", "%s", nic->name);
	report_fact("address", "%s/%u", a, address->prefix);
	if (routed)
		report_fact("gateway", "%s", g);
	if (w->servers[0])
		report_fact("nameservers", "%s", w->servers);
	report_fact("up", "1");
	snprintf(text, size, "%s/%u%s%s on %s", a, address->prefix, routed ? " via " : "", routed ? g : "", nic->name);
}

/* The directory that holds the last name of path. */
static int watch_directory(struct wait *w, const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n >= sizeof(directory))
		return -ENAMETOOLONG;
	snprintf(directory, sizeof(directory), "%.*s", (int)n, path);
	if (inotify_add_watch(w->inotify, slash ? n ? directory : "/" : ".",
			      IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR) < 0)
		return -errno;
	return 0;
}

/* Watches the directory, because resolv.conf is replaced by rename; of a link also that of its target. */
static int watch_resolv_conf(struct wait *w)
{
	char target[PATH_MAX], joined[2 * PATH_MAX];
	const char *slash = strrchr(w->resolv_conf, '/');
	ssize_t n;
	int r;

	w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->inotify < 0)
		return -errno;
	if (!w->resolv_conf[0])
		return 0;
	r = watch_directory(w, w->resolv_conf);
	n = r < 0 ? -1 : readlink(w->resolv_conf, target, sizeof(target) - 1);
	if (n <= 0)
		return r;
	target[n] = '\0';
	snprintf(joined, sizeof(joined), "%.*s%s", target[0] == '/' || !slash ? 0 : (int)(slash - w->resolv_conf + 1),
		 w->resolv_conf, target);
	return watch_directory(w, joined);
}

/* 0, or 1 with the result reported, or negative errno. */
static int look_at_dhcpcd(void)
{
	char why[160];
	int r = 1;

	for (int i = 0; r == 1 && i < LOOKS; i++) {
		if (i > 0)
			time_wait_ms(LOOK_EVERY_MS);
		r = dhcpcd_look(why, sizeof(why));
	}
	if (r == 1)
		report_result("%s", why);
	else if (r < 0)
		report_result("/proc cannot be read, to see whether dhcpcd is confined: %s", strerror(-r));
	return r;
}

static void drain(int fd)
{
	char buffer[4096];

	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
}

/* One turn: sleeps until something changed, or `until` (INT64_MAX: for ever). 0 or negative errno. */
static int wait_change(struct wait *w, int64_t until)
{
	struct pollfd p[2] = {
		{.fd = w->netlink, .events = POLLIN},
		{.fd = w->inotify, .events = POLLIN},
	};
	int64_t left = until - time_now_ms();

	if (poll(p, 2, until == INT64_MAX ? -1 : left > 0 ? (int)left : 0) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[1].revents)
		drain(w->inotify);
	return p[0].revents ? netlink_follow(w->netlink, &w->view) : 0;
}

static int wait_network(struct wait *w)
{
	char said[sizeof(w->missing)] = "";
	int64_t started = time_now_ms();
	int64_t next = started + SAY_EVERY_MS;
	int r;

	for (;;) {
		look(w);
		if (!w->missing[0])
			return 0;
		if (strcmp(said, w->missing) != 0) {
			memcpy(said, w->missing, sizeof(said));
			report_result("%s", w->missing);
			report_event(EVENT_DEBUG, "waiting: %s", w->missing);
		}
		r = wait_change(w, next);
		if (r < 0)
			return r;
		if (time_now_ms() >= next) {
			report_event(EVENT_WARNING, "after %d s: %s", (int)((time_now_ms() - started) / 1000),
				     w->missing);
			next += SAY_EVERY_MS;
		}
	}
}

/* ---- watch ------------------------------------------------------------------------------------------------------ */

/* The state in words: what is missing, or all of it. False: something is missing. */
static bool state_of(struct wait *w, char *text, size_t size)
{
	char rest[128];

	look(w);
	if (w->missing[0]) {
		report_fact("up", "0");
		snprintf(text, size, "lost: %.200s", w->missing);
		return false;
	}
	describe(w, rest, sizeof(rest));
	snprintf(text, size, "%s%s%s", rest, w->servers[0] ? ", name servers " : "", w->servers);
	return true;
}

static void report_change(bool was_up, bool up, const char *before, const char *now, int64_t lost_ms)
{
	if (!up)
		report_event(EVENT_WARNING, "%s; was %s", now, before);
	else if (!was_up)
		report_event(EVENT_NOTICE, "back after %lld s: %s", (long long)((time_now_ms() - lost_ms) / 1000), now);
	else
		report_event(EVENT_NOTICE, "changed: %s; was %s", now, before);
}

/* Ends only with an error. */
static int keep_watch(struct wait *w)
{
	static char name[IFNAMSIZ];
	const struct netlink_link *nic = netlink_nic(&w->view, w->interface);
	char before[STATE_MAX], now[STATE_MAX];
	bool up, was_up;
	int64_t lost_ms = time_now_ms();
	int r;

	if (nic && !w->interface[0]) {		/* this one, whichever others come */
		snprintf(name, sizeof(name), "%s", nic->name);
		w->interface = name;
	}
	was_up = state_of(w, before, sizeof(before));
	if (!was_up)
		report_event(EVENT_WARNING, "%s", before);
	report_result("%s", before);
	for (;;) {
		r = wait_change(w, INT64_MAX);
		if (r < 0)
			return r;
		time_wait_ms(SETTLE_MS);
		r = wait_change(w, 0);
		if (r < 0)
			return r;
		up = state_of(w, now, sizeof(now));
		if (!strcmp(now, before))
			continue;
		if (was_up && !up)
			lost_ms = time_now_ms();
		report_result("%s", now);	/* before the event: who sees that finds this in the status */
		if (up || was_up)
			report_change(was_up, up, before, now, lost_ms);
		was_up = up;
		memcpy(before, now, sizeof(before));
	}
}

static int run(struct stage_context *context)
{
	static struct wait w;
	char text[128];
	int r;

	w.interface = option_string(context, "interface");
	w.resolv_conf = option_string(context, "resolv_conf");
	r = watch_resolv_conf(&w);
	if (r < 0) {
		report_result("watching %s failed: %s", w.resolv_conf, strerror(-r));
		return STAGE_AGAIN;
	}
	w.netlink = netlink_open();
	r = w.netlink < 0 ? w.netlink : netlink_refresh(w.netlink, &w.view);
	if (r < 0) {
		report_result("rtnetlink: %s", strerror(-r));
		return STAGE_AGAIN;
	}
	r = context->mode == STAGE_WATCH ? keep_watch(&w) : wait_network(&w);
	if (r < 0) {
		report_result("rtnetlink: %s", strerror(-r));
		return STAGE_AGAIN;
	}
	if (look_at_dhcpcd() != 0)
		return STAGE_AGAIN;
	describe(&w, text, sizeof(text));
	report_result("%s", text);
	return STAGE_DONE;
}

static const struct stage_option options[] = {
	{.name = "interface", .type = OPTION_STRING, .maximum = IFNAMSIZ - 1, .fallback = ""},
	{.name = "resolv_conf", .type = OPTION_STRING, .maximum = 255, .fallback = "/etc/resolv.conf"},
	{0},
};

static const struct stage_path paths[] = {
	{.option = "resolv_conf", .access = STAGE_READS, .folder = true},
	{.path = "/proc", .access = STAGE_READS},	/* dhcpcd's rights */
	{0},
};

static const char *const numbers[] = {"up", NULL};

const struct stage stage_network = {
	.type = "network",
	.options = options,
	.numbers = numbers,
	.watches = true,
	.deadline_s = 120,
	.retry_limit = 0,
	.user = "gantry-network",
	.calls = STAGE_CALLS_NETLINK,
	.paths = paths,
	.run = run,
};
