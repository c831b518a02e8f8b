/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The role `await`: waits in place of PID 1 until a service is ready by `ready.path` or `ready.tcp`, and exits with
 * status 0 then. A file system that does not answer, or a peer, holds up this process alone; it is killed at its
 * deadline (init/node/probe.c). For a path, it may look at every one, as PID 1 could, and do nothing else; for a port
 * it may connect, ask the kernel whose socket that is, and list the service's cgroups. What an earlier life left at the
 * path does not count, nor does another's port.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gantry/role.h>
#include <gantry/stage.h>

#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "init/lib/report.h"
#include "init/lib/sysfilter.h"
#include "listener.h"
#include "trace.h"

#define ASK_MIN_MS 5
#define ASK_MAX_MS 1000

static const int calls[] = {
	SCMP_SYS(close), SCMP_SYS(exit_group), SCMP_SYS(poll), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(write), SCMP_SYS(writev),
};
static const int of_paths[] = {SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_init1), SCMP_SYS(statx)};
static const int of_tcp[] = {
	SCMP_SYS(connect), SCMP_SYS(fstat), SCMP_SYS(getdents64), SCMP_SYS(getsockname), SCMP_SYS(getsockopt),
	SCMP_SYS(lseek), SCMP_SYS(openat), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(sendto),
};
static const struct sysfilter_argument of_sockets[] = {
	{SCMP_ACT_ALLOW, SCMP_SYS(socket), 0, ~0ULL, AF_INET},
	{SCMP_ACT_ALLOW, SCMP_SYS(socket), 0, ~0ULL, AF_INET6},
};

/* With CAP_DAC_READ_SEARCH for a path in folders of other users; for a port without any. */
static int confine_user(bool tcp)
{
	const uint64_t kept = tcp ? 0 : UINT64_C(1) << CAP_DAC_READ_SEARCH;
	int r = capabilities_bound(kept);

	if (r == 0 && kept && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = privilege_user(AWAIT_UID, AWAIT_UID, NULL, 0);
	return r < 0 ? r : capabilities_keep(kept, false);
}

/* `cgroup`: with tcp, the folder that it may list; -1: none. 0 or negative errno. */
static int confine(bool tcp, int cgroup)
{
	const struct landlock_place place = {cgroup, LANDLOCK_ACCESS_FS_READ_DIR};
	const struct landlock files = {
		.places = &place,
		.n_places = 1,
		.tcp = tcp ? LANDLOCK_CONNECTS : LANDLOCK_NO_TCP,
		.scoped = true,
	};
	const struct sysfilter_list use = tcp ? (struct sysfilter_list)SYSFILTER_LIST(SCMP_ACT_ALLOW, of_tcp) :
						(struct sysfilter_list)SYSFILTER_LIST(SCMP_ACT_ALLOW, of_paths);
	const struct sysfilter filter = {
		.otherwise = SCMP_ACT_ERRNO(EPERM),
		.other_abi = SCMP_ACT_KILL_PROCESS,
		.lists = {SYSFILTER_LIST(SCMP_ACT_ALLOW, calls), use},
		.arguments = of_sockets,
		.n_arguments = tcp ? sizeof(of_sockets) / sizeof(*of_sockets) : 0,
	};
	int r = geteuid() == 0 ? confine_user(tcp) : 0;

	if (r == 0)
		r = privilege_no_new();
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = landlock_restrict(&files);
	return r < 0 ? r : sysfilter_load(&filter);
}

static int next_ms(int delay_ms)
{
	return delay_ms * 2 > ASK_MAX_MS ? ASK_MAX_MS : delay_ms * 2;
}

/* ---- path ----------------------------------------------------------------------------------------------------- */

/* Watches the nearest existing folder above the path. Returns false if there is none to watch. */
static bool watch_folder(int fd, const char *path)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", path);
	do {
		char *slash = strrchr(folder, '/');

		if (!slash)
			return false;
		slash[slash == folder] = '\0';
		if (inotify_add_watch(fd, folder, IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF) >= 0)
			return true;
	} while (folder[1]);
	return false;
}

/*
 * First the watch, then the look: nothing created in between is missed. When a missing folder is created, all is done
 * again from there. `before`: what was there before the service (trace.h). The watch does not show that it is written
 * to, since others may write into that folder all the time; so with it there, it is looked at now and then.
 */
static int await_path(const char *path, const char *before)
{
	char now[TRACE_MAX];

	for (int delay_ms = ASK_MIN_MS;; delay_ms = next_ms(delay_ms)) {
		struct pollfd poll_fd = {.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN};
		bool watched = poll_fd.fd >= 0 && watch_folder(poll_fd.fd, path);

		trace_of(path, now);
		if (now[0] && strcmp(now, before))
			return 0;
		poll(&poll_fd, 1, watched && !now[0] ? -1 : delay_ms);
		if (poll_fd.fd >= 0)
			close(poll_fd.fd);
	}
}

/* ---- tcp ------------------------------------------------------------------------------------------------------ */

struct tcp {
	struct sockaddr_storage address;
	socklen_t size;
	int cgroup;	/* folder of the service's cgroup; -1: there is none */
	int diag;	/* listener.h */
};

static int tcp_address(const char *address, const char *port, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	uint16_t number = (uint16_t)strtoul(port, NULL, 10);

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(number);
		*ret_size = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(number);
		*ret_size = sizeof(*v6);
		return 0;
	}
	return -EINVAL;
}

/* The connection, or -1. */
static int connect_within(const struct tcp *tcp, int limit_ms)
{
	struct pollfd poll_fd = {.events = POLLOUT};
	int error = 0;
	socklen_t error_size = sizeof(error);

	poll_fd.fd = socket(tcp->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (poll_fd.fd < 0)
		return -1;
	if (connect(poll_fd.fd, (const struct sockaddr *)&tcp->address, tcp->size) == 0 ||
	    (errno == EINPROGRESS && poll(&poll_fd, 1, limit_ms) == 1 &&
	     getsockopt(poll_fd.fd, SOL_SOCKET, SO_ERROR, &error, &error_size) == 0 && !error))
		return poll_fd.fd;
	close(poll_fd.fd);
	return -1;
}

static in_port_t port_of(int connection)
{
	struct sockaddr_storage own = {0};
	socklen_t size = sizeof(own);

	if (getsockname(connection, (struct sockaddr *)&own, &size) < 0)
		return 0;
	return own.ss_family == AF_INET ? ((struct sockaddr_in *)&own)->sin_port :
					  ((struct sockaddr_in6 *)&own)->sin6_port;
}

static bool is_open(int connection)
{
	struct pollfd poll_fd = {.fd = connection, .events = POLLRDHUP};

	return poll(&poll_fd, 1, 0) == 0;
}

/*
 * A listener may close again before it is looked for, but the other end of an open connection does not: if this machine
 * has no socket for that either, as with a container behind a rule, it is the service that answered.
 */
static int ask_whose(const struct tcp *tcp, int connection, bool *ret_ended)
{
	int r = tcp->cgroup >= 0 ? listener_find(tcp->diag, &tcp->address, 0, tcp->cgroup) : LISTENER_NONE;

	if (r == LISTENER_NONE && tcp->cgroup >= 0)
		r = listener_find(tcp->diag, &tcp->address, port_of(connection), tcp->cgroup);
	*ret_ended = r == LISTENER_NONE && !is_open(connection);
	return r;
}

static bool is_own(const struct tcp *tcp, int connection, const char *text, const char *port)
{
	static bool told;
	bool ended;
	int r = ask_whose(tcp, connection, &ended);

	if (r == LISTENER_FOREIGN && !told)
		report_event(EVENT_WARNING, "not ready: port %s of %s is open, but no process of this service "
			     "listens there", port, text);
	else if (r < 0 && !told)
		report_event(EVENT_WARNING, "not ready: the kernel does not say who listens on port %s of %s: %s", port,
			     text, r == -ENOENT ? "it lacks the module tcp_diag" : strerror(-r));
	told = told || r < 0 || r == LISTENER_FOREIGN;
	return r == LISTENER_OWN || (r == LISTENER_NONE && !ended);
}

static int await_tcp(const struct tcp *tcp, const char *text, const char *port)
{
	for (int delay_ms = ASK_MIN_MS;; delay_ms = next_ms(delay_ms)) {
		int connection = connect_within(tcp, delay_ms);
		bool own = connection >= 0 && is_own(tcp, connection, text, port);

		if (connection >= 0)
			close(connection);
		if (own)
			return 0;
		poll(NULL, 0, delay_ms);
	}
}

/* ---- either ---------------------------------------------------------------------------------------------------- */

/* `folder`: of the service's cgroup; "": there is none. */
static int open_tcp(struct tcp *tcp, const char *address, const char *port, const char *folder)
{
	int r = tcp_address(address, port, &tcp->address, &tcp->size);

	if (r < 0 || !folder[0])
		return r;
	tcp->cgroup = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tcp->cgroup < 0)
		return -errno;
	tcp->diag = listener_open();
	return tcp->diag < 0 ? tcp->diag : 0;
}

/* "await path PATH TRACE" or "await tcp ADDRESS PORT FOLDER" */
int await_main(int argc, char **argv)
{
	bool path = argc == 5 && !strcmp(argv[2], "path"), tcp = argc == 6 && !strcmp(argv[2], "tcp");
	struct tcp with = {.cgroup = -1, .diag = -1};
	int r = path || tcp ? 0 : -EINVAL;

	if (tcp)
		r = open_tcp(&with, argv[3], argv[4], argv[5]);
	if (r == 0)
		r = confine(tcp, with.cgroup);
	if (r == 0)
		r = path ? await_path(argv[3], argv[4]) : await_tcp(&with, argv[3], argv[4]);
	if (r < 0)
		fprintf(stderr, "await: %s\n", strerror(-r));
	return r < 0 ? STAGE_NEVER : STAGE_DONE;
}
