/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is asked on a connection: a request is looked at whole, checked against what the connection may do, and done at
 * once; how it is answered is set in the connection.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "boot.h"
#include "connection.h"
#include "init/event/event.h"
#include "init/lib/fdpass.h"
#include "init/pid1/act.h"
#include "init/process/processes.h"

static bool draining;

static int64_t begin_refresh(void)
{
	int64_t first = (int64_t)event_last() + 1;
	int r = boot_refresh();

	return r < 0 ? r : first;
}

static int64_t act(struct connection *c, enum control_kind kind, const char *body)
{
	const char *node = c->role ? c->event_source : boot_node_of_pid(c->pid);
	const char *by = node ? node : processes_is_kernels(c->pid) ? "kernel" : "gantryctl";

	switch (kind) {
	case CONTROL_START:
		return boot_start(body);
	case CONTROL_STOP:
		return boot_stop(body);
	case CONTROL_RESTART:
		return boot_restart(body);
	case CONTROL_POWEROFF:
		boot_shutdown(SHUTDOWN_POWEROFF, by, body);
		return 0;
	case CONTROL_REBOOT:
		boot_shutdown(SHUTDOWN_REBOOT, by, body);
		return 0;
	case CONTROL_HALT:
		boot_shutdown(SHUTDOWN_HALT, by, body);
		return 0;
	case CONTROL_REFRESH:
		return begin_refresh();
	default:
		return -EBADMSG;
	}
}

/* The attached descriptor, if the request has one, is the act's, also on failure. */
static int64_t begin_act(enum control_kind kind, const char *body, size_t size, int attached)
{
	if ((attached >= 0) != (kind == CONTROL_UPLOAD || kind >= CONTROL_BOOT_LOG)) {
		if (attached >= 0)
			close(attached);
		return -EBADMSG;
	}
	switch (kind) {
	case CONTROL_ACTION:
		return act_action(body);
	case CONTROL_UPLOAD:
		return act_upload(body, attached);
	case CONTROL_PASSWORD:
		return act_password(body, size);
	case CONTROL_SERVICE_LOG:
		return act_service_log(body, attached);
	default:
		return act_boot_log(attached);
	}
}

static int post(struct connection *c, const struct control_head *head, const char *body)
{
	const char *node = c->role ? c->event_source : boot_node_of_pid(c->pid);
	const char *end = memchr(body, '\0', head->size);
	size_t text_size = end ? (size_t)(end - body) : head->size;
	size_t fields_size = end ? head->size - text_size - 1 : 0;

	if (head->argument < 0 || head->argument >= EVENT_LEVEL_MAX)
		return -EINVAL;
	if (c->role && (head->flags & CONTROL_OUTSIDE))
		node = "http";
	event_add((enum event_level)head->argument, EVENT_MESSAGE, node ? node : "gantryctl", body, text_size,
		  body + (head->size - fields_size), fields_size);
	return 0;
}

static int begin_events(struct connection *c, const struct control_head *head)
{
	bool follow = head->flags & CONTROL_FOLLOW;

	if (c->following)
		return -EBUSY;
	c->next = head->argument > 0 ? (uint64_t)head->argument : 1;
	c->last = follow && !draining ? UINT64_MAX : event_last();
	c->following = follow;
	c->closing = follow && draining;
	c->answer = follow ? ANSWER_RING : ANSWER_EVENTS;
	return 0;
}

static int take_certificate(const struct control_head *head, const char *body)
{
	if (head->size != 64 || strspn(body, "0123456789abcdef") != 64)
		return -EBADMSG;
	boot_certificate(body);
	return 0;
}

static unsigned needed_permission(unsigned kind)
{
	if (kind == CONTROL_LAST_SHUTDOWN)
		return CONTROL_MAY_TELL;
	return kind == CONTROL_EVENTS || kind == CONTROL_STATUS ? CONTROL_MAY_READ :
	       kind == CONTROL_POST || kind == CONTROL_CERTIFICATE ? CONTROL_MAY_POST :
	       kind >= CONTROL_ACTION && kind <= CONTROL_SERVICE_LOG ? CONTROL_MAY_ACT : CONTROL_MAY_CONTROL;
}

/* body is NUL-terminated beyond head->size; *attached is -1 or set to -1 once taken. Sets what is to be answered. */
static void take_request(struct connection *c, const struct control_head *head, const char *body, int *attached)
{
	c->result = 0;
	c->answer = ANSWER_END;
	if ((head->kind < CONTROL_EVENTS || head->kind > CONTROL_SERVICE_LOG) && head->kind != CONTROL_LAST_SHUTDOWN)
		c->result = -EBADMSG;
	else if (!(c->permissions & needed_permission(head->kind)))
		c->result = -EPERM;
	else if (head->kind == CONTROL_EVENTS)
		c->result = begin_events(c, head);
	else if (head->kind == CONTROL_POST)
		c->result = post(c, head, body);
	else if (head->kind == CONTROL_CERTIFICATE)
		c->result = take_certificate(head, body);
	else if (head->kind == CONTROL_LAST_SHUTDOWN)
		boot_last_shutdown(body, head->size);
	else if (needed_permission(head->kind) == CONTROL_MAY_ACT) {
		c->result = begin_act(head->kind, body, head->size, *attached);
		*attached = -1;
	} else if (head->kind != CONTROL_STATUS)
		c->result = strlen(body) == head->size ? act(c, head->kind, body) : -EBADMSG;
	else {
		c->answer = ANSWER_STATUS;
		c->step = 0;
	}
	c->barrier = event_last();
}

int connection_receive(struct connection *c)
{
	char body[CONTROL_BODY_MAX + 1];
	struct control_head head;
	struct iovec iov[] = {{&head, sizeof(head)}, {body, CONTROL_BODY_MAX}};
	union fd_room room;
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	int attached = -1;
	ssize_t n;

	if (c->role)	/* who connected by the path attaches nothing: the kernel closes what has no room */
		fd_expect(&message, &room);
	n = recvmsg(c->source.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n >= 0)
		attached = fd_attached(&message);
	if (n <= 0) {
		if (attached >= 0)
			close(attached);
		connection_drop(c);
		return -1;
	}
	if ((size_t)n < sizeof(head) || (message.msg_flags & MSG_TRUNC) || head.size != (size_t)n - sizeof(head)) {
		if (attached >= 0)
			close(attached);
		event_count_drop(c->role ? c->event_source : "control");
		c->result = -EBADMSG;
		c->answer = ANSWER_END;
		c->barrier = 0;
		return 1;
	}
	body[head.size] = '\0';
	c->active_ns = loop_now_ns();
	take_request(c, &head, body, &attached);
	if (attached >= 0)
		close(attached);
	return 1;
}

void connection_end_following(void)
{
	draining = true;
}
