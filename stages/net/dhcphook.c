/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role dhcp-hook: the script that dhcpcd runs on every change of a lease, as dhcpcd's user. The environment holds bytes
 * chosen by a DHCP server, which lease.c parses. Before that, the process has given up all but writing into one folder
 * and sending an event. Files are replaced by rename: a reader sees the old lease or the new one, never a part. They
 * are of the first card that has a lease, as long as that card is there: another one, as the second path of the same
 * card that some clouds add, does not take them over.
 */
#define _GNU_SOURCE
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
#include <time.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/control.h>
#include <gantry/stage.h>

#include "init/lib/landlock.h"
#include "init/lib/restrict.h"
#include "lease.h"
#include "stages/cloud/cloud.h"

#define READ_MS     500
#define STEP_MS     10
#define MEMORY_SENT 2	/* SK_MEMINFO_WMEM_ALLOC, linux/sock_diag.h */
#define MEMORY_MAX  9

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Until PID 1 has read the datagram: it finds the event's source in /proc of this process, which would be gone. The
 * memory that the sender has in flight is that of the datagram.
 */
static void wait_read(int fd)
{
	uint32_t memory[MEMORY_MAX];
	socklen_t size = sizeof(memory);

	for (int waited_ms = 0; waited_ms < READ_MS; waited_ms += STEP_MS) {
		nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
		if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) < 0 || !memory[MEMORY_SENT])
			break;
	}
	nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);	/* it has it, and looks now */
}

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
	if (sendto(fd, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1, MSG_NOSIGNAL,
		   (struct sockaddr *)&address, sizeof(address)) >= 0)
		wait_read(fd);
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
	char text[LEASE_TEXT_MAX];

	return replace(DHCP_RESOLV_CONF, text, lease_resolv_conf(l, text));
}

static int write_state(const struct lease *l)
{
	char text[LEASE_TEXT_MAX];

	return replace(DHCP_LEASE, text, lease_state(l, text));
}

/* The card whose lease is written down, if it is there and another one than this; else "". */
static void find_owner(const struct lease *l, char ret[sizeof(l->interface)])
{
	_cleanup_(cleanup_close) int fd = open(DHCP_LEASE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[64], path[64];
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	ret[0] = '\0';
	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, "interface=%15[-_.A-Za-z0-9]", ret) != 1)
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s", ret);
	if (!strcmp(ret, l->interface) || access(path, F_OK) < 0)
		ret[0] = '\0';
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
	SCMP_SYS(access), SCMP_SYS(brk), SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(faccessat), SCMP_SYS(fchmod), SCMP_SYS(fcntl), SCMP_SYS(getpid),
	SCMP_SYS(getsockopt), SCMP_SYS(madvise), SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(open),
	SCMP_SYS(openat), SCMP_SYS(read), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sendto), SCMP_SYS(socket), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(write),
};

static int confine(void)
{
	static const struct restriction restriction = {.lists[0] = SYSFILTER_LIST(SCMP_ACT_ALLOW, calls)};
	_cleanup_(cleanup_close) int folder = open(DHCP_FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct landlock_place place = {
		folder, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
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
	struct lease lease;
	char owner[sizeof(lease.interface)];
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
		say("<3>dhcp: the hook could not be confined and did nothing: %s", strerror(-r));
		return 1;
	}
	lease_read(&lease);
	if (lease.n_ignored)
		say("<4>dhcp: ignored %zu name servers that are not IPv4 addresses", lease.n_ignored);
	if (one_of(reason, lost)) {
		say("<4>dhcp: %s %s", lease.interface, reason);
		return 0;
	}
	if (!lease.address[0])
		return 0;
	find_owner(&lease, owner);
	if (owner[0]) {
		say("<4>dhcp: %s %s %s/%u is not used: the lease of %s is", lease.interface, reason, lease.address,
		    lease.prefix, owner);
		return 0;
	}
	/* resolv.conf comes last: stage `network` waits for it, and then the rest must be there. */
	r = write_state(&lease);
	if (r < 0)
		say("<3>dhcp: %s not written: %s", DHCP_LEASE, strerror(-r));
	r = lease.n_servers ? write_resolv_conf(&lease) : 0;
	if (r < 0)
		say("<3>dhcp: %s not written: %s", DHCP_RESOLV_CONF, strerror(-r));
	/* A renewal without change is not reported. */
	if (strcmp(reason, "RENEW") != 0)
		say("dhcp: %s %s %s/%u router %s lease %lu s", lease.interface, reason, lease.address, lease.prefix,
		    lease.router[0] ? lease.router : "none", lease.lease_s);
	return r < 0 ? 1 : 0;
}
