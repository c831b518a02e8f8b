/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements eventsock.h. Each turn reads a bounded number of datagrams: a flood fills the socket's queue and blocks
 * its senders, not the loop. Descriptors that come with one are dropped without PID 1 (inbox.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datagram.h"
#include "event.h"
#include "eventsock.h"
#include "init/lib/inbox.h"
#include "init/lib/loop.h"
#include "init/lib/unixsock.h"
#include "sender.h"

#define DATAGRAMS_A_TURN 256
#define QUEUE_PATH      "/proc/sys/net/unix/max_dgram_qlen"
#define QUEUE_LENGTH    512

static struct loop_source source = LOOP_SOURCE_INIT;
static struct inbox_public inbox = INBOX_PUBLIC_INIT(&source);
static const char *(*whose)(int pid);

/* A cache of the nodes of pids, which are read from /proc; for one turn only, because pids are reused. */
#define NAMES_KEPT 16
static struct sender_name {
	int pid;
	bool stranger;
	char name[EVENT_SOURCE_MAX + 1];
} names[NAMES_KEPT];

static const struct sender_name *sender_name(int pid)
{
	unsigned i = (unsigned)pid % NAMES_KEPT;
	const char *node;

	if (pid > 0 && names[i].pid == pid)
		return &names[i];
	node = pid > 0 ? whose(pid) : NULL;
	names[i].pid = pid;
	names[i].stranger = !node;
	if (node)
		snprintf(names[i].name, sizeof(names[i].name), "%s", node);
	else
		snprintf(names[i].name, sizeof(names[i].name), "pid-%d", pid);
	return &names[i];
}

static void take(int pid, uid_t uid, const char *bytes, size_t size, int64_t now_ns)
{
	const struct sender_name *who = sender_name(pid);
	static struct datagram d;

	if (!sender_may(who->stranger ? sender_of_stranger(uid) : who->name, now_ns))
		return;
	datagram_read(&d, bytes, size);
	event_add(d.level, EVENT_MESSAGE, who->name, d.text, d.text_size, d.fields, d.fields_size);
}

static void receive(int most)
{
	static char bytes[DATAGRAM_MAX + 1];	/* one more, to recognize longer datagrams */
	int64_t now_ns = loop_now_ns();

	memset(names, 0, sizeof(names));
	for (int i = 0; i < most; i++) {
		struct iovec part = {bytes, sizeof(bytes)};
		struct inbox_message message;
		ssize_t n = inbox_receive_public(&inbox, &part, 1, &message);

		if (n < 0)
			return;
		take(message.sender.pid, message.sender.uid, bytes, (size_t)n, now_ns);
	}
}

static void ready(struct loop_source *s, uint32_t events)
{
	(void)s;
	(void)events;
	receive(DATAGRAMS_A_TURN);
}

void eventsock_drain(void)
{
	if (source.fd >= 0)
		receive(QUEUE_LENGTH + 1);
}

static int bind_socket(const char *path)
{
	int queue = open(QUEUE_PATH, O_WRONLY | O_CLOEXEC);	/* read at a socket's creation; the default is 10 */

	if (queue >= 0) {
		(void)!dprintf(queue, "%d", QUEUE_LENGTH);
		close(queue);
	}
	return unixsock_bind(path, SOCK_DGRAM);
}

int eventsock_init(const char *path, const char *(*with)(int pid))
{
	int r;

	whose = with;
	source.ready = ready;
	r = loop_take(&source, bind_socket(path), EPOLLIN);
	if (r < 0)
		event_say(EVENT_ERROR, "gantry", "event socket %s: %s", path, strerror(-r));
	return r;
}
