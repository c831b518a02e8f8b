/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A boot and acts that only note what they were asked for, and a client on the control socket in front of them. */
#ifndef TESTS_CONTROL_BOOT_H
#define TESTS_CONTROL_BOOT_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event_lines.h"
#include "fake_stages.h"
#include "init/control/boot.h"
#include "init/control/connection.h"
#include "init/control/control.h"
#include "init/lib/client.h"
#include "init/lib/memfd.h"
#include "init/node/refresh-run.h"
#include "init/node/whose.h"
#include "init/pid1/act.h"
#include "init/pid1/requests.h"
#include "init/pid1/shutdown.h"
#include "init/show/status.h"

#define API_UID  12345
#define NODES    200

static char path[64], called[600];
UNUSED static const char *node_of_pid;
static struct control_message message;
UNUSED static int client = -1, received;

const char *whose_pid(int pid)
{
	(void)pid;
	return node_of_pid;
}

void boot_status(struct control_boot *ret)
{
	*ret = (struct control_boot){.state = BOOT_BOOTED, .started_ns = 1, .now_ns = 12000000000, .hostname = "h",
				     .events = event_last(), .version = "9", .ended_ns = 11000000000};
}

static bool refreshes;

bool refresh_run_status(struct control_refresh *ret)
{
	ret->success_ns = 1000000000;
	return refreshes;
}

size_t boot_nodes(void)
{
	return NODES;
}

void boot_node(size_t index, struct control_node *ret)
{
	*ret = (struct control_node){.kind = index % 2 ? NODE_SERVICE : NODE_STAGE, .state = NODE_DONE,
				     .first_started_ns = 2000000000, .started_ns = 3000000000,
				     .ended_ns = 4500000000, .attempts = 2, .required = 1};
	snprintf(ret->name, sizeof(ret->name), "node-%zu", index);
	snprintf(ret->type, sizeof(ret->type), "exec");
	memset(ret->reason, 'r', sizeof(ret->reason));	/* not even terminated */
}

size_t boot_facts(size_t index, const char **ret)
{
	*ret = "device=/dev/sda\0size_bytes=1";
	return index % 3 == 0 ? 29 : 0;
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
	snprintf(called, sizeof(called), "certificate %s until %lld", sha256, (long long)end_s);
}

int refresh_run_begin(void)
{
	return -EINPROGRESS;
}

int boot_start(const char *name)
{
	snprintf(called, sizeof(called), "start %s", name);
	return strcmp(name, "reth") == 0 ? 0 : -ENOENT;
}

int boot_stop(const char *name)
{
	snprintf(called, sizeof(called), "stop %s", name);
	event_state(EVENT_INFO, name, "stopping", NULL);
	return 0;
}

int boot_restart(const char *name)
{
	snprintf(called, sizeof(called), "restart %s", name);
	return -EALREADY;
}

void shutdown_begin(enum shutdown_kind kind, const char *by, const char *reason)
{
	snprintf(called, sizeof(called), "shutdown %d %s %s", kind, by, reason);
}

/* The acts; a descriptor that came along is theirs. */
UNUSED static int act_fd = -1;

int64_t act_action(const char *name)
{
	snprintf(called, sizeof(called), "action %s", name);
	return strcmp(name, "reboot") == 0 ? 7 : -ENOENT;
}

int64_t act_upload(const char *name, int fd)
{
	snprintf(called, sizeof(called), "upload %s", name);
	act_fd = fd;
	return 8;
}

int64_t act_password(const char *stored, size_t size)
{
	snprintf(called, sizeof(called), "password %.*s", (int)size, stored);
	return -EBUSY;
}

int64_t act_service_log(const char *name, int fd)
{
	snprintf(called, sizeof(called), "log of %s", name);
	close(fd);
	return 10;
}

int64_t act_boot_log(int fd)
{
	snprintf(called, sizeof(called), "log");
	close(fd);
	return 9;
}

UNUSED static void start(void)
{
	snprintf(path, sizeof(path), "/tmp/control-%d", getpid());
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(1000), 0);
	CHECK_INT(control_init(path, API_UID, &requests), 0);
	client = client_connect(path);
	CHECK(client >= 0);
	fcntl(client, F_SETFL, O_NONBLOCK);
}

UNUSED static bool answer_is_there(void)
{
	received = client_receive(client, &message);
	return received != -EAGAIN;
}

/* The next message's kind; 0: end of file; -1: nothing came. */
UNUSED static int next_kind(void)
{
	received = -EAGAIN;
	if (!loop_until(answer_is_there))
		return -1;
	return received <= 0 ? received : message.head.kind;
}

UNUSED static void request(enum control_kind kind, unsigned flags, int64_t argument, const char *body)
{
	CHECK_INT(client_request(client, kind, flags, argument, body, strlen(body)), 0);
}

UNUSED static uint64_t message_seq(void)
{
	struct event_view e;

	return event_view(&e, message.body, message.head.size) == 0 ? e.head.seq : 0;
}

#endif
