/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket's server side. A connection is a few cursors, never a queue: at most one request is being
 * answered, beside at most one followed subscription, and both go on from where they are whenever the socket takes
 * more. Who does not read only falls behind.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <gantry/control.h>

#include "act.h"
#include "boot.h"
#include "control.h"
#include "event.h"
#include "fdpass.h"
#include "loop.h"
#include "processes.h"

#define ACCEPTED_MAX     32
#define ADOPTED_MAX      8
#define CONNECTIONS_MAX  (ACCEPTED_MAX + ADOPTED_MAX)	/* the adopted ones last */
#define BACKLOG          64
#define ACCEPTS_A_TURN   16
#define REQUESTS_A_TURN  16
#define MESSAGES_A_TURN  64
#define ACCEPT_PAUSE_NS  1000000000

enum answer {
	ANSWER_NONE,
	ANSWER_RING,
	ANSWER_EVENTS,
	ANSWER_STATUS,
	ANSWER_END,
};

struct connection {
	struct loop_source source;	/* first: ready() gets this; fd -1: the slot is free */
	unsigned permissions;
	const char *role, *event_source;	/* adopted: the name of its role, and of its events' source */
	pid_t pid;			/* accepted */
	int64_t active_ns;

	bool following, closing;
	uint64_t next, last;		/* events still to be sent: next to last */

	enum answer answer;
	size_t step;			/* ANSWER_STATUS: the boot, refreshes, each node, its facts, its lines */
	size_t line;			/* the next of those lines */
	int64_t result;			/* ANSWER_END: 0, an act's id, or negative errno */
	uint64_t barrier;		/* ANSWER_END: a follower gets this event first */
	int hands[HAND_MAX];		/* adopted: descriptors to be handed over; -1: none */
};

static struct connection connections[CONNECTIONS_MAX];
static struct loop_source listener = LOOP_SOURCE_INIT;
static struct loop_timer accept_timer;
static uid_t reader_uid = (uid_t)-1;
static bool draining;

static const char *words(int64_t r)
{
	static const struct {
		int error;
		const char *words;
	} table[] = {
		{EPERM, "not allowed for this user"},
		{ENOENT, "no such stage or service"},
		{EINVAL, "not possible for this stage or service"},
		{EALREADY, "is so already"},
		{ESHUTDOWN, "the machine is stopping"},
		{EBADMSG, "malformed request"},
		{EBUSY, "too many at once"},
		{EINPROGRESS, "one is running"},
		{ENODATA, "the boot has not used its configuration yet"},
		{EOPNOTSUPP, "boot.json has no \"refresh\""},
	};

	if (r >= 0)
		return "";
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].error == -r)
			return table[i].words;
	return strerror((int)-r);
}

static int send_with_fd(int fd, enum control_kind kind, int64_t argument, const void *body, size_t size, int attached)
{
	struct control_head head = {.kind = kind, .size = (uint32_t)size, .argument = argument};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)body, size}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	union fd_room room = {0};

	if (attached >= 0)
		fd_attach(&message, &room, attached);
	for (;;) {
		if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

static int send_message(int fd, enum control_kind kind, int64_t argument, const void *body, size_t size)
{
	return send_with_fd(fd, kind, argument, body, size, -1);
}

static int send_end(int fd, int64_t result)
{
	return send_message(fd, CONTROL_END, result, words(result), strlen(words(result)));
}

static void drop(struct connection *c)
{
	int fd = c->source.fd;

	loop_remove(&c->source);
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; c->role && i < HAND_MAX; i++)
		if (c->hands[i] >= 0)
			close(c->hands[i]);
	*c = (struct connection){.source = LOOP_SOURCE_INIT};
}

static bool hand_due(const struct connection *c)
{
	for (size_t i = 0; c->role && i < HAND_MAX; i++)
		if (c->hands[i] >= 0)
			return true;
	return false;
}

static int send_hand(struct connection *c)
{
	size_t i = 0;
	int r;

	while (c->hands[i] < 0)
		i++;
	r = send_with_fd(c->source.fd, CONTROL_HAND, (int64_t)i, NULL, 0, c->hands[i]);
	if (r == 0) {
		close(c->hands[i]);
		c->hands[i] = -1;
	}
	return r;
}

static bool events_due(const struct connection *c)
{
	return (c->following || c->answer == ANSWER_EVENTS) && c->next <= c->last && c->next <= event_last();
}

static bool answer_due(const struct connection *c)
{
	switch (c->answer) {
	case ANSWER_EVENTS:
		return !events_due(c);
	case ANSWER_RING:
	case ANSWER_STATUS:
		return true;
	case ANSWER_END:
		return !c->following || c->next > c->barrier || !events_due(c);
	default:
		return false;
	}
}

static int send_event(struct connection *c)
{
	char record[EVENT_RECORD_MAX];
	uint64_t seq = c->next;
	size_t size = event_read(&seq, record);
	int r;

	if (size == 0)
		return 0;
	if (seq != c->next) {
		r = send_message(c->source.fd, CONTROL_GAP, (int64_t)(seq - c->next), NULL, 0);
		if (r == 0)
			c->next = seq;
		return r;
	}
	r = send_message(c->source.fd, CONTROL_EVENT, 0, record, size);
	if (r == 0)
		c->next = seq + 1;
	return r;
}

static int send_status(struct connection *c)
{
	union {
		struct control_boot boot;
		struct control_node node;
		struct control_refresh refresh;
		struct {
			uint64_t dropped;
			char bytes[CONTROL_BODY_MAX - sizeof(uint64_t)];
		} lines;
	} body;
	size_t node = (c->step - 2) / 3, size;
	const char *facts = NULL;
	int r = 0;

	memset(&body, 0, sizeof(body));
	if (c->step == 0) {
		boot_status(&body.boot);
		r = send_message(c->source.fd, CONTROL_BOOT, 0, &body.boot, sizeof(body.boot));
	} else if (c->step == 1) {
		if (boot_refresh_status(&body.refresh))
			r = send_message(c->source.fd, CONTROL_REFRESHES, 0, &body.refresh, sizeof(body.refresh));
	} else if (c->step % 3 == 2) {
		boot_node(node, &body.node);
		r = send_message(c->source.fd, CONTROL_NODE, 0, &body.node, sizeof(body.node));
		c->line = 0;
	} else if (c->step % 3 == 0) {
		size = boot_facts(node, &facts);
		if (size > 0)
			r = send_message(c->source.fd, CONTROL_FACTS, 0, facts, size);
	} else {
		size_t line = c->line;

		if (!boot_lines(node, &line, body.lines.bytes, sizeof(body.lines.bytes), &size, &body.lines.dropped))
			size = 0;
		else if (size > 0 || line == 0)
			r = send_message(c->source.fd, CONTROL_LINES, 0, &body.lines,
					 sizeof(body.lines.dropped) + size);
		if (r < 0)
			return r;
		c->line = line;
		if (size > 0)
			return 0;	/* there may be more */
	}
	if (r == 0 && c->step++ == 1 + 3 * boot_nodes())
		c->answer = ANSWER_END;
	return r;
}

static int send_answer(struct connection *c)
{
	int r;

	if (c->answer == ANSWER_STATUS)
		return send_status(c);
	if (c->answer == ANSWER_EVENTS)
		c->answer = ANSWER_END;
	r = c->answer == ANSWER_RING ? send_message(c->source.fd, CONTROL_RING, (int64_t)event_entries(), NULL, 0) :
	    send_end(c->source.fd, c->result);
	if (r == 0)
		c->answer = ANSWER_NONE;
	return r;
}

/* Sends a bounded number of what is due. False: the connection is gone. */
static bool pump(struct connection *c)
{
	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		int r;

		if (hand_due(c))
			r = send_hand(c);
		else if (answer_due(c))
			r = send_answer(c);
		else if (events_due(c))
			r = send_event(c);
		else
			break;
		if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
			break;
		if (r < 0) {
			drop(c);
			return false;
		}
		c->active_ns = loop_now_ns();
	}
	if (c->closing && !answer_due(c) && !events_due(c)) {
		drop(c);
		return false;
	}
	loop_want(&c->source, (c->answer == ANSWER_NONE ? EPOLLIN : 0) |
			      (hand_due(c) || answer_due(c) || events_due(c) ? EPOLLOUT : 0));
	return true;
}

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

/* 1: a request was taken; 0: there is none; -1: the connection is gone. */
static int receive(struct connection *c)
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
		drop(c);
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

static void ready(struct loop_source *source, uint32_t events)
{
	struct connection *c = (struct connection *)source;

	if (!pump(c) || !(events & ~EPOLLOUT))
		return;
	for (int i = 0; i < REQUESTS_A_TURN && c->answer == ANSWER_NONE; i++) {
		if (receive(c) <= 0 || !pump(c))
			return;
	}
	if (c->answer != ANSWER_NONE && (events & (EPOLLHUP | EPOLLERR)) && c->source.fd >= 0)
		drop(c);	/* nobody is left to read the answer */
}

static void wake(void)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &connections[i];

		if (c->source.fd >= 0 && c->following && events_due(c))
			loop_want(&c->source, c->source.events | EPOLLOUT);
	}
}

static int add(size_t from, size_t to, int fd, unsigned permissions, const char *role, const char *source, pid_t pid)
{
	for (size_t i = from; i < to; i++) {
		struct connection *c = &connections[i];

		if (c->source.fd >= 0)
			continue;
		*c = (struct connection){.source = {.fd = -1, .ready = ready}, .permissions = permissions,
					 .role = role, .event_source = source, .pid = pid, .active_ns = loop_now_ns(),
					 .hands = {-1, -1, -1}};
		return loop_add(&c->source, fd, EPOLLIN);
	}
	return -EBUSY;
}

/* Only root and the API get here, so the one that was idle longest has the least to lose. */
static void drop_idlest(void)
{
	struct connection *idlest = &connections[0];

	for (size_t i = 1; i < ACCEPTED_MAX; i++)
		if (connections[i].active_ns < idlest->active_ns)
			idlest = &connections[i];
	drop(idlest);
}

static void greet(int fd)
{
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t size = sizeof(who);
	unsigned permissions = 0;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0)
		permissions = who.uid == 0 ? CONTROL_MAY_READ | CONTROL_MAY_POST | CONTROL_MAY_CONTROL :
			      who.uid == reader_uid && reader_uid != (uid_t)-1 ? CONTROL_MAY_READ : 0;
	r = permissions ? add(0, ACCEPTED_MAX, fd, permissions, NULL, NULL, who.pid) : -EPERM;
	if (r == -EBUSY) {
		drop_idlest();
		r = add(0, ACCEPTED_MAX, fd, permissions, NULL, NULL, who.pid);
	}
	if (r < 0) {
		send_end(fd, r);
		close(fd);
	}
}

static void accept_again(struct loop_timer *timer)
{
	(void)timer;
	loop_want(&listener, EPOLLIN);
}

static void accept_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			greet(fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN) {	/* no descriptor or no memory: it would be ready again at once */
			event_count_drop("control");
			loop_want(source, 0);
			loop_arm(&accept_timer, loop_now_ns() + ACCEPT_PAUSE_NS);
		}
		return;
	}
}

static int listen_on(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void init_table(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		connections[i].source.fd = -1;
	event_on_add(wake);
}

int control_init(const char *path, uid_t api_uid)
{
	int fd, r;

	init_table();
	reader_uid = api_uid;
	accept_timer.fire = accept_again;
	listener.ready = accept_ready;
	fd = r = listen_on(path);
	if (fd >= 0) {
		r = loop_add(&listener, fd, EPOLLIN);
		if (r < 0)
			close(fd);
	}
	if (r < 0)
		event_say(EVENT_ERROR, "gantry", "control socket %s: %s", path, strerror(-r));
	return r;
}

int control_adopt(int fd, unsigned permissions, const char *role, const char *source)
{
	int r;

	init_table();
	r = add(ACCEPTED_MAX, CONNECTIONS_MAX, fd, permissions, role, source, 0);
	if (r < 0)
		close(fd);
	return r;
}

void control_hand(const char *role, enum control_hand hand, int fd)
{
	for (size_t i = ACCEPTED_MAX; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &connections[i];

		if (c->source.fd < 0 || c->closing || strcmp(c->role, role) != 0)
			continue;
		if (c->hands[hand] >= 0)
			close(c->hands[hand]);
		c->hands[hand] = fd;
		loop_want(&c->source, c->source.events | EPOLLOUT);
		return;
	}
	close(fd);
}

void control_close_subscribers(void)
{
	draining = true;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &connections[i];

		if (c->source.fd < 0 || !c->following)
			continue;
		c->closing = true;
		c->last = event_last();
		pump(c);
	}
}

bool control_draining(void)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (connections[i].source.fd >= 0 && connections[i].closing)
			return true;
	return false;
}
