/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements logpipe.h. Unsent messages to the role are a few flags for each node, never a queue: when the channel is
 * full, the rest is sent once it has room.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init/event/event.h"
#include "init/event/sender.h"
#include "init/lib/fdpass.h"
#include "init/lib/inbox.h"
#include "init/lib/logtail.h"
#include "init/lib/logwire.h"
#include "init/lib/loop.h"
#include "logpipe.h"
#include "output.h"

#define SOURCE      "service-log"
#define TURN_BUDGET 64		/* messages of the role in one turn of the loop */
#define SEALS       (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

struct pipes {
	int read_fds[LOG_STREAMS], write_fds[LOG_STREAMS];	/* -1: not created */
	bool sent[LOG_STREAMS];		/* the role has the read end */
	bool ended_due;			/* LOG_ENDED is to be sent */
	uint32_t end;			/* number of exits of its processes */
	uint64_t lines_before;		/* printed by earlier processes */
	struct loop_timer timeout;
	void (*done)(void *with);	/* logpipe_exited()'s callback; NULL: none pending */
	void *with;
};

static const struct config *config;	/* NULL: no logs */
static struct pipes *pipes;
static struct logtail *tails;
static int tails_fd = -1;
static struct loop_source channel = LOOP_SOURCE_INIT;
static bool hello_due, open_wanted, open_due, finish_wanted, finish_due;
static uint32_t starts;

static struct pipes *of_timer(struct loop_timer *timer)
{
	return (struct pipes *)((char *)timer - offsetof(struct pipes, timeout));
}

static void finish_wait(struct pipes *p)
{
	void (*done)(void *with) = p->done;

	loop_disarm(&p->timeout);
	p->done = NULL;
	if (done)
		done(p->with);
}

static void timed_out(struct loop_timer *timer)
{
	finish_wait(of_timer(timer));
}

int logpipe_init(const struct config *with)
{
	size_t size = with->n_nodes * sizeof(*tails);

	if (!with->logs || !with->n_nodes)
		return 0;
	pipes = calloc(with->n_nodes, sizeof(*pipes));
	tails_fd = memfd_create("service-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!pipes || tails_fd < 0 || ftruncate(tails_fd, (off_t)size) < 0 || fcntl(tails_fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	tails = mmap(NULL, size, PROT_READ, MAP_SHARED, tails_fd, 0);
	if (tails == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < with->n_nodes; i++) {
		for (size_t k = 0; k < LOG_STREAMS; k++)
			pipes[i].read_fds[k] = pipes[i].write_fds[k] = -1;
		pipes[i].timeout.fire = timed_out;
	}
	config = with;
	return 0;
}

bool logpipe_active(void)
{
	return config != NULL;
}

bool logpipe_covers(size_t node)
{
	return config && node < config->n_nodes && config->nodes[node].kind == NODE_SERVICE;
}

/* ---- messages to the role -------------------------------------------------------------------------------------- */

static void hang_up(void)
{
	int fd = channel.fd;

	loop_remove(&channel);
	inbox_close(fd);
	for (size_t i = 0; i < config->n_nodes; i++)
		finish_wait(&pipes[i]);
}

/* 0 or negative errno. */
static int send_message(enum log_kind kind, size_t node, uint32_t argument, const void *body, size_t size, int attached)
{
	struct log_head head = {.kind = (uint16_t)kind, .node = (uint16_t)node, .size = (uint32_t)size,
				.argument = argument};
	struct iovec parts[] = {{&head, sizeof(head)}, {(void *)body, size}};

	return fd_send(channel.fd, parts, 2, &attached, attached >= 0, MSG_DONTWAIT);
}

static int send_hello(void)
{
	struct log_hello hello = {.nodes = (uint32_t)config->n_nodes, .again = starts > 1};
	int r;

	memccpy(hello.directory, config->logs_directory, 0, sizeof(hello.directory) - 1);
	memccpy(hello.group, config->logs_group, 0, sizeof(hello.group) - 1);
	r = send_message(LOG_HELLO, LOG_NOBODY, 0, &hello, sizeof(hello), tails_fd);
	hello_due = r < 0;
	return r;
}

static int send_pipe(size_t node, size_t stream)
{
	const struct config_node *c = &config->nodes[node];
	struct log_service service = {.max_bytes = c->log_max_bytes, .files = c->log_files, .json = c->log_json,
				      .events = c->log_events};
	int r;

	memccpy(service.name, c->name, 0, sizeof(service.name) - 1);
	r = send_message(LOG_PIPE, node, (uint32_t)stream, &service, sizeof(service), pipes[node].read_fds[stream]);
	pipes[node].sent[stream] = r == 0;
	return r;
}

static int send_flag(enum log_kind kind, bool *due)
{
	int r = send_message(kind, LOG_NOBODY, 0, NULL, 0, -1);

	*due = r < 0;
	return r;
}

static int send_node(size_t node)
{
	struct pipes *p = &pipes[node];
	int r = 0;

	for (size_t k = 0; r == 0 && k < LOG_STREAMS; k++)
		if (p->read_fds[k] >= 0 && !p->sent[k])
			r = send_pipe(node, k);
	if (r == 0 && p->ended_due) {
		r = send_message(LOG_ENDED, node, p->end, NULL, 0, -1);
		p->ended_due = r < 0;
	}
	return r;
}

/* Sends the due messages until the channel is full. */
static void pump(void)
{
	int r = 0;

	if (channel.fd < 0)
		return;
	if (hello_due)
		r = send_hello();
	if (r == 0 && open_due)
		r = send_flag(LOG_OPEN, &open_due);
	for (size_t i = 0; r == 0 && i < config->n_nodes; i++)
		r = send_node(i);
	if (r == 0 && finish_due)
		r = send_flag(LOG_FINISH, &finish_due);
	if (r < 0 && r != -EAGAIN && r != -ENOBUFS && r != -ENOMEM && r != -EINTR && r != -ETOOMANYREFS)
		hang_up();
	else
		loop_want(&channel, EPOLLIN | (r < 0 ? EPOLLOUT : 0));
}

/* ---- messages from the role ------------------------------------------------------------------------------------- */

/* Returns false if the message is malformed. */
static bool take(const struct log_head *head, const char *body)
{
	bool known = head->node < config->n_nodes;
	const char *source = known ? config->nodes[head->node].name : SOURCE;

	switch (head->kind) {
	case LOG_READ:
		if (known && head->argument == pipes[head->node].end)
			finish_wait(&pipes[head->node]);
		return known;
	case LOG_LINE:
		if (known && sender_may(source, loop_now_ns()))
			event_add(EVENT_INFO, EVENT_MESSAGE, source, body, head->size, NULL, 0);
		return known;
	case LOG_SAY:
		if (head->argument >= EVENT_LEVEL_MAX || (!known && head->node != LOG_NOBODY))
			return false;
		if (sender_may_report(SOURCE, loop_now_ns()))
			event_report((enum event_level)head->argument, EVENT_MESSAGE, source, body, head->size, NULL,
				     0);
		return true;
	default:
		return false;
	}
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct {
		struct log_head head;
		char body[LOG_BODY_MAX];
	} message;
	struct iovec part = {&message, sizeof(message)};
	struct inbox_message received;

	if (events & EPOLLOUT)
		pump();
	for (int i = 0; i < TURN_BUDGET && source->fd >= 0; i++) {
		ssize_t n = inbox_receive(source->fd, &part, 1, INBOX_NOTHING, &received);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < 0 || (n == 0 && !received.removed)) {
			hang_up();
			return;
		}
		if ((size_t)n < sizeof(message.head) || received.cut ||
		    message.head.size != (size_t)n - sizeof(message.head) || !take(&message.head, message.body))
			event_count_drop(SOURCE);
	}
}

int logpipe_attach(int fd)
{
	int r;

	if (!config) {
		close(fd);
		return -ENOENT;
	}
	hang_up();
	channel.ready = ready;
	r = loop_add(&channel, fd, EPOLLIN);
	if (r < 0) {
		close(fd);
		return r;
	}
	starts++;
	hello_due = true;
	open_due = open_wanted;
	finish_due = finish_wanted;
	for (size_t i = 0; i < config->n_nodes; i++) {
		pipes[i].ended_due = false;
		for (size_t k = 0; k < LOG_STREAMS; k++)
			pipes[i].sent[k] = false;
	}
	pump();
	return 0;
}

void logpipe_open_directory(void)
{
	if (!config || open_wanted)
		return;
	open_wanted = open_due = true;
	pump();
}

void logpipe_finish(void)
{
	if (!config || finish_wanted)
		return;
	finish_wanted = finish_due = true;
	pump();
}

/* ---- a service's life ------------------------------------------------------------------------------------------ */

static int make_pipe(struct pipes *p, size_t stream)
{
	int pair[2];

	if (p->read_fds[stream] >= 0)
		return 0;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) {
		close(pair[0]);
		close(pair[1]);
		return -EIO;
	}
	p->read_fds[stream] = pair[0];
	p->write_fds[stream] = pair[1];
	return 0;
}

int logpipe_open(size_t node, int *ret_out, int *ret_err)
{
	size_t streams = config->nodes[node].log_json ? LOG_STREAMS : 1;
	struct pipes *p = &pipes[node];

	for (size_t k = 0; k < streams; k++) {
		int r = make_pipe(p, k);

		if (r < 0)
			return r;
	}
	p->lines_before = __atomic_load_n(&tails[node].lines, __ATOMIC_RELAXED);
	*ret_out = p->write_fds[LOG_STDOUT];
	*ret_err = p->write_fds[streams - 1];
	pump();
	return 0;
}

void logpipe_exited(size_t node, bool wait, void (*done)(void *with), void *with)
{
	struct pipes *p = &pipes[node];

	p->end++;
	p->ended_due = channel.fd >= 0;
	if (!wait || channel.fd < 0) {
		pump();
		done(with);
		return;
	}
	p->done = done;
	p->with = with;
	loop_arm(&p->timeout, loop_now_ns() + LOGPIPE_WAIT_NS);
	pump();
}

bool logpipe_last_line(size_t node, char *out)
{
	static struct logtail copy;
	const char *last;

	logtail_read(&tails[node], &copy);
	last = copy.lines > pipes[node].lines_before ? logtail_last(&copy) : NULL;
	if (!last)
		return false;
	output_keep_text(out, last, strlen(last));
	return true;
}

const char *logpipe_cause(size_t node, char *out)
{
	static struct logtail copy;
	const char *found = NULL, *last;
	uint64_t n = 0, own, skip;

	logtail_read(&tails[node], &copy);
	last = logtail_last(&copy);
	own = copy.lines > pipes[node].lines_before ? copy.lines - pipes[node].lines_before : 0;
	for (size_t i = 0; i < copy.size; i += strlen(copy.bytes + i) + 1)
		n++;
	skip = n > own ? n - own : 0;	/* of an earlier process */
	for (size_t i = 0; i < copy.size; i += strlen(copy.bytes + i) + 1) {
		if (skip > 0)
			skip--;
		else if (output_is_cause(copy.bytes + i, strlen(copy.bytes + i)))
			found = copy.bytes + i;
	}
	if (!found || found == last)
		return NULL;
	output_keep_text(out, found, strlen(found));
	return out;
}

size_t logpipe_lines(size_t node, size_t *at, char *out, size_t room)
{
	static struct logtail copy;
	size_t line = 0, size = 0;

	logtail_read(&tails[node], &copy);
	for (size_t i = 0; i < copy.size; line++) {
		size_t n = strlen(copy.bytes + i) + 1;

		if (line >= *at) {
			if (size + n > room)
				break;
			memcpy(out + size, copy.bytes + i, n);
			size += n;
			++*at;
		}
		i += n;
	}
	return size;
}

uint64_t logpipe_dropped(size_t node)
{
	return __atomic_load_n(&tails[node].dropped, __ATOMIC_RELAXED);
}
