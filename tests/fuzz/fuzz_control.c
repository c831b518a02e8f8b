/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any datagrams on the control socket. The input is a row of them, each with its size in two bytes in front; every
 * connection must stay served or be closed, and every answer be of the protocol.
 */
/* links: control init/pid1/requests.c init/pid1/clock.c event init/lib process */
#include <fcntl.h>
#include <stdlib.h>

#include "init/control/boot.h"
#include "init/control/control.c"
#include "init/lib/client.h"
#include "init/node/refresh-run.h"
#include "init/node/whose.h"
#include "init/pid1/act.h"
#include "init/pid1/requests.h"
#include "init/pid1/shutdown.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int64_t loop_now_ns(void)
{
	return 1234567890;
}

int loop_add(struct loop_source *source, int fd, uint32_t events)
{
	source->fd = fd;
	source->events = events;
	return 0;
}

int loop_take(struct loop_source *source, int fd, uint32_t events)
{
	return fd < 0 ? fd : loop_add(source, fd, events);
}

void loop_want(struct loop_source *source, uint32_t events)
{
	source->events = events;
}

void loop_remove(struct loop_source *source)
{
	source->fd = -1;
}

void loop_arm(struct loop_timer *timer, int64_t due_ns)
{
	(void)timer;
	(void)due_ns;
}

const char *whose_pid(int pid)
{
	(void)pid;
	return NULL;
}

void boot_status(struct control_boot *ret)
{
	*ret = (struct control_boot){0};
}

bool refresh_run_status(struct control_refresh *ret)
{
	ret->runs[REFRESH_SAME] = 1;
	return true;
}

size_t boot_nodes(void)
{
	return 3;
}

void boot_node(size_t index, struct control_node *ret)
{
	*ret = (struct control_node){.pid = (int)index};
}

size_t boot_facts(size_t index, const char **ret)
{
	*ret = "key=value";
	return index == 1 ? 10 : 0;
}

bool boot_lines(size_t index, size_t *at, char *out, size_t room, size_t *ret_size, uint64_t *ret_dropped)
{
	static const char lines[] = "first\0second";

	*ret_dropped = index;
	*ret_size = *at == 0 && sizeof(lines) <= room ? sizeof(lines) : 0;
	memcpy(out, lines, *ret_size);
	*at = 2;
	return index % 2 == 0;
}

static unsigned last_shutdowns;

void boot_last_shutdown(const char *fields, size_t size)
{
	(void)fields;
	last_shutdowns += size > 0;
}

void boot_certificate(const char *sha256, int64_t end_s)
{
	(void)end_s;
	if (strlen(sha256) != 64)
		abort();
}

static int act_on(const char *name)
{
	if (strlen(name) > CONTROL_BODY_MAX)
		abort();
	return name[0] == 'r' ? 0 : -ENOENT;
}

int refresh_run_begin(void)
{
	return -EINPROGRESS;
}

int boot_start(const char *name)
{
	return act_on(name);
}

int boot_stop(const char *name)
{
	return act_on(name);
}

int boot_restart(const char *name)
{
	return act_on(name);
}

void shutdown_begin(enum shutdown_kind kind, const char *by, const char *reason)
{
	(void)by;
	if (kind >= SHUTDOWN_KIND_MAX)
		abort();
	act_on(reason);
}

int64_t act_action(const char *name)
{
	return act_on(name);
}

int64_t act_upload(const char *name, int fd)
{
	close(fd);
	return act_on(name);
}

int64_t act_password(const char *stored, size_t size)
{
	return memchr(stored, 'x', size) ? 1 : -EBUSY;
}

int64_t act_service_log(const char *name, int fd)
{
	close(fd);
	return name[0] == 'x' ? 1 : -ENOENT;
}

int64_t act_boot_log(int fd)
{
	close(fd);
	return 1;
}

static void drain(int fd)
{
	struct control_message message;
	int r;

	while ((r = client_receive(fd, &message)) > 0)
		if (message.head.kind < CONTROL_EVENT || message.head.kind >= CONTROL_KIND_MAX)
			abort();
	if (r == -EBADMSG)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool prepared;
	int pair[2];

	if (!prepared && event_init(100) < 0)
		abort();
	prepared = true;
	connection_requests(&requests);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
		return 0;
	if (control_adopt(pair[0], 31, "api", "api") < 0)
		abort();
	while (size >= 2) {
		size_t n = (size_t)bytes[0] | (size_t)bytes[1] << 8;
		struct connection *c = &connections[ACCEPTED_MAX];

		bytes += 2;
		size -= 2;
		n = n < size ? n : size;
		if (c->source.fd >= 0) {
			send(pair[1], bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
			ready(&c->source, EPOLLIN);
		}
		if (c->source.fd >= 0)
			ready(&c->source, EPOLLOUT);
		drain(pair[1]);
		bytes += n;
		size -= n;
	}
	close(pair[1]);
	for (int i = 0; i < 4 && connections[ACCEPTED_MAX].source.fd >= 0; i++)
		ready(&connections[ACCEPTED_MAX].source, EPOLLIN | EPOLLHUP);
	if (connections[ACCEPTED_MAX].source.fd >= 0)
		abort();
	return 0;
}
