/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements ready.h. A descriptor that cannot be had is asked for again by the watch's timer; nothing is given up. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "boot.h"
#include "event.h"
#include "loop.h"
#include "ready.h"
#include "table.h"

#define ASK_MIN_NS    5000000LL
#define ASK_MAX_NS 1000000000LL
#define NOTIFY_BUDGET 64

struct watch {
	size_t node;
	bool active;
	struct loop_source source;	/* inotify, or the connecting socket */
	struct loop_timer timer;
	int64_t delay_ns;
};

static const struct plan *plan;
static struct watch *watches;
static void (*became_ready)(size_t node);
static struct loop_source notify = LOOP_SOURCE_INIT;

static void close_source(struct loop_source *source)
{
	int fd = source->fd;

	loop_remove(source);
	if (fd >= 0)
		close(fd);
}

void ready_forget(size_t node)
{
	struct watch *watch = &watches[node];

	watch->active = false;
	close_source(&watch->source);
	loop_disarm(&watch->timer);
}

static void is_ready(struct watch *watch)
{
	size_t node = watch->node;

	ready_forget(node);
	became_ready(node);
}

static void again_later(struct watch *watch)
{
	loop_arm(&watch->timer, loop_now_ns() + watch->delay_ns);
	watch->delay_ns *= 2;
	if (watch->delay_ns > ASK_MAX_NS)
		watch->delay_ns = ASK_MAX_NS;
}

/* ---- path ----------------------------------------------------------------------------------------------------- */

/*
 * Watches the nearest folder above the path that exists, then looks: in this order, so that nothing that appears
 * in between is missed. When a folder on the way appears, the walk is made again from there.
 */
static void look_at_path(struct watch *watch)
{
	const char *path = plan->nodes[watch->node].config->ready_path;
	char folder[PATH_MAX];
	int fd;

	close_source(&watch->source);
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0 || loop_add(&watch->source, fd, EPOLLIN) < 0) {
		if (fd >= 0)
			close(fd);
		again_later(watch);
	} else {
		snprintf(folder, sizeof(folder), "%s", path);
		do {
			char *slash = strrchr(folder, '/');

			if (!slash)
				break;
			slash[slash == folder] = '\0';
			if (inotify_add_watch(fd, folder, IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF) >= 0)
				break;
		} while (folder[1]);
	}
	if (access(path, F_OK) == 0)
		is_ready(watch);
}

/* ---- tcp ------------------------------------------------------------------------------------------------------ */

static int tcp_address(const struct config_node *config, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, config->ready_address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(config->ready_port);
		*ret_size = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, config->ready_address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(config->ready_port);
		*ret_size = sizeof(*v6);
		return 0;
	}
	return -EINVAL;
}

static void ask_tcp(struct watch *watch)
{
	struct sockaddr_storage address;
	socklen_t size;
	int fd;

	close_source(&watch->source);
	again_later(watch);
	if (tcp_address(plan->nodes[watch->node].config, &address, &size) < 0)
		return;
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&address, size) == 0) {
		close(fd);
		is_ready(watch);
	} else if (errno != EINPROGRESS || loop_add(&watch->source, fd, EPOLLOUT) < 0) {
		close(fd);
	}
}

/* ---- one watch ------------------------------------------------------------------------------------------------ */

static void source_ready(struct loop_source *source, uint32_t events)
{
	struct watch *watch = (struct watch *)((char *)source - offsetof(struct watch, source));

	(void)events;
	if (plan->nodes[watch->node].config->ready == READY_PATH) {
		look_at_path(watch);
	} else {
		int error = 0;
		socklen_t size = sizeof(error);

		if (getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && !error)
			is_ready(watch);
		else
			close_source(source);	/* the timer asks again */
	}
}

static void timer_fired(struct loop_timer *timer)
{
	struct watch *watch = (struct watch *)((char *)timer - offsetof(struct watch, timer));

	if (plan->nodes[watch->node].config->ready == READY_PATH)
		look_at_path(watch);
	else
		ask_tcp(watch);
}

void ready_watch(size_t node)
{
	struct watch *watch = &watches[node];

	ready_forget(node);
	watch->active = true;
	watch->delay_ns = ASK_MIN_NS;
	switch (plan->nodes[node].config->ready) {
	case READY_STARTED:
		is_ready(watch);
		break;
	case READY_PATH:
		look_at_path(watch);
		break;
	case READY_TCP:
		ask_tcp(watch);
		break;
	case READY_NOTIFY:
	case READY_FD:
	case READY_EXEC:
	case READY_EXIT:
		break;
	}
}

/* ---- notify --------------------------------------------------------------------------------------------------- */

static void notified(pid_t pid, const char *text)
{
	const char *name = boot_node_of_pid(pid);
	size_t i;

	if (name && plan_find(plan, name, &i) == 0) {
		for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
			if (!strncmp(line, "STATUS=", 7))
				event_say(EVENT_INFO, name, "%.*s", (int)strcspn(line + 7, "\n"), line + 7);
			if (!strncmp(line, "READY=1", 7) && (line[7] == '\n' || !line[7]) && watches[i].active &&
			    plan->nodes[i].config->ready == READY_NOTIFY)
				is_ready(&watches[i]);
		}
		return;
	}
	event_count_drop("notify");
}

static void notify_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	for (int i = 0; i < NOTIFY_BUDGET; i++) {
		char text[1025];
		union {
			struct cmsghdr head;
			char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * 16)];
		} control;
		struct iovec part = {text, sizeof(text) - 1};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
					 .msg_controllen = sizeof(control.bytes)};
		ssize_t n = recvmsg(source->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		struct ucred sender = {0};

		if (n < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
			if (c->cmsg_level != SOL_SOCKET)
				continue;
			if (c->cmsg_type == SCM_CREDENTIALS) {
				memcpy(&sender, CMSG_DATA(c), sizeof(sender));
			} else if (c->cmsg_type == SCM_RIGHTS) {
				/* sd_notify can store descriptors; we do not, and must not keep them either. */
				for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
					int fd;

					memcpy(&fd, CMSG_DATA(c) + at, sizeof(int));
					close(fd);
				}
			}
		}
		text[n] = '\0';
		if (sender.pid > 0)
			notified(sender.pid, text);
	}
}

static int open_notify(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = NOTIFY_SOCKET};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int yes = 1;
	int r = 0;

	if (fd < 0)
		return -errno;
	unlink(NOTIFY_SOCKET);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(NOTIFY_SOCKET, 0666) < 0)
		r = -errno;
	notify.ready = notify_ready;
	if (r == 0)
		r = loop_add(&notify, fd, EPOLLIN);
	if (r < 0)
		close(fd);
	return r;
}

int ready_init(const struct plan *with, void (*callback)(size_t node))
{
	plan = with;
	became_ready = callback;
	watches = calloc(plan->n_nodes ? plan->n_nodes : 1, sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	table_stays_ours(watches, plan->n_nodes * sizeof(*watches));
	for (size_t i = 0; i < plan->n_nodes; i++) {
		watches[i].node = i;
		watches[i].source.fd = -1;
		watches[i].source.ready = source_ready;
		watches[i].timer.fire = timer_fired;
	}
	return open_notify();
}
