/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `network`: waits until the network is usable: a NIC, its link, an IPv4 address, a default route through it, and
 * resolv.conf. It configures nothing: PID 1 has set lo up, and dhcpcd runs as a service beside it; the stage fails if
 * that has more rights than it should have. It waits by notification (rtnetlink, inotify); the first missing item is
 * reported every ten seconds and is the stage's result until then, so that a deadline ends it with the right reason.
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

struct wait {
	const char *interface;
	const char *resolv_conf;
	int netlink;
	int inotify;
	struct netlink_view view;
	char missing[256];	/* the first missing item; empty: none */
};

/* At least one nameserver line counts; an empty file is dhcpcd's or our hook's first half. */
static bool has_nameserver(const char *path)
{
	static char text[RESOLV_CONF_MAX + 1];
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, RESOLV_CONF_MAX);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strncmp(text, "nameserver ", 11) == 0 || strstr(text, "\nnameserver ");
}

static void look(struct wait *w)
{
	const struct netlink_link *nic = netlink_nic(&w->view, w->interface);

	w->missing[0] = '\0';
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
	else if (w->resolv_conf[0] && !has_nameserver(w->resolv_conf))
		snprintf(w->missing, sizeof(w->missing), "no nameserver in %s", w->resolv_conf);
}

static void say_result(const struct wait *w)
{
	const struct netlink_link *nic = netlink_nic(&w->view, w->interface);
	const struct netlink_address *address = netlink_address(&w->view, nic->index);
	const struct netlink_route *route = netlink_default_route(&w->view, nic->index);
	char a[INET_ADDRSTRLEN], g[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &address->address, a, sizeof(a));
	inet_ntop(AF_INET, &route->gateway, g, sizeof(g));
	report_fact("interface", "%s", nic->name);
	report_fact("address", "%s/%u", a, address->prefix);
	if (route->gateway.s_addr)
		report_fact("gateway", "%s", g);
	if (route->gateway.s_addr)
		report_result("%s/%u via %s on %s", a, address->prefix, g, nic->name);
	else
		report_result("%s/%u on %s", a, address->prefix, nic->name);
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

/* One turn: sleeps until something changed or the missing item is due to be reported. 0 or negative errno. */
static int wait_change(struct wait *w, int64_t until)
{
	struct pollfd p[2] = {
		{.fd = w->netlink, .events = POLLIN},
		{.fd = w->inotify, .events = POLLIN},
	};
	int64_t left = until - time_now_ms();

	if (poll(p, 2, left > 0 ? (int)left : 0) < 0)
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

static int run(struct stage_context *context)
{
	static struct wait w;
	int r;

	w.interface = option_string(context, "interface", "");
	w.resolv_conf = option_string(context, "resolv_conf", "/etc/resolv.conf");
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
	r = wait_network(&w);
	if (r < 0) {
		report_result("rtnetlink: %s", strerror(-r));
		return STAGE_AGAIN;
	}
	if (look_at_dhcpcd() != 0)
		return STAGE_AGAIN;
	say_result(&w);
	return STAGE_DONE;
}

static const struct stage_option options[] = {
	{.name = "interface", .type = OPTION_STRING, .maximum = IFNAMSIZ - 1},
	{.name = "resolv_conf", .type = OPTION_STRING, .maximum = 255},
	{0},
};

static const struct stage_path paths[] = {
	{.path = "/etc/resolv.conf", .option = "resolv_conf", .access = STAGE_READS, .folder = true},
	{.path = "/proc", .access = STAGE_READS},	/* dhcpcd's rights */
	{0},
};

const struct stage stage_network = {
	.type = "network",
	.options = options,
	.deadline_s = 120,
	.retry_limit = 0,
	.user = "gantry-network",
	.calls = STAGE_CALLS_NETLINK,
	.paths = paths,
	.run = run,
};
