/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role `service-log`: reads the services' output and writes NAME.log (docs/logs.md). PID 1 passes the pipes and keeps
 * them open, so this process may crash at any time. It runs as a user of its own, without network, and with fixed
 * buffers for each service: a service that floods is slowed down to the speed of the disk; while the disk accepts
 * nothing, lines are dropped and counted, and the count is reported as an event and in the log itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gantry/role.h>

#include "channel.h"
#include "confine.h"
#include "format.h"
#include "init/lib/bucket.h"
#include "init/lib/eventtext.h"
#include "init/lib/logtail.h"
#include "init/lib/utf8.h"
#include "opener.h"
#include "ring.h"
#include "writer.h"

#define NICE          10
#define READS_A_TURN  16
#define REPORT_MS     1000	/* between two reports of lines that did not become events */
#define FINISH_MS     1000	/* to read the pipes of ended services */
#define THREAD_STACK  (256 * 1024)
#define BASE_MEMORY   (64 << 20)
#define NODE_MEMORY   (LOGRING_SIZE + sizeof(struct reader) + 16384)

struct stream {
	int fd;			/* -1: none */
	bool paused;		/* not read from: its ring is full */
	struct logsplit split;
};

/* The reader's state of a node; allocated with its first pipe. */
struct reader {
	struct stream streams[LOG_STREAMS];
	uint64_t lost_lines, lost_bytes;	/* dropped since the last report in the log */
	bool said_lost;
	struct bucket events;
	unsigned long events_lost;	/* since the last report */
	int64_t events_lost_ms;		/* when the first of them was */
	uint32_t end;			/* argument of the last LOG_ENDED ... */
	bool end_due;			/* ... which is not answered yet */
};

static struct logshare share = {.lock = PTHREAD_MUTEX_INITIALIZER, .readers_event = -1, .opener = -1};
static struct reader **readers;
static struct logtail *tails;
static struct log_hello hello;
static int epoll_fd = -1;
static bool finishing;
static int64_t finish_ms;
static char now_text[40];	/* RFC 3339, of this turn */

/* ---- into the rings --------------------------------------------------------------------------------------------- */

/* Sends a line as an event, at the rate that PID 1 allows the processes whose output it reads itself. */
static void make_event(size_t node, const char *text, size_t size)
{
	static const struct bucket_limit limit = {.per_s = 100, .burst = 1000};
	struct reader *r = readers[node];
	int64_t now_ms = log_now_ms();

	if (r->events_lost && now_ms - r->events_lost_ms >= REPORT_MS) {
		logchannel_say(EVENT_WARNING, node, "output limit of %" PRId64 " lines/s exceeded, or PID 1 busy: "
			       "%lu lines are only in the log file", limit.per_s, r->events_lost);
		r->events_lost = 0;
	}
	if (bucket_take(&r->events, &limit, now_ms * 1000000) &&
	    logchannel_send(LOG_LINE, node, 0, text, size < EVENT_TEXT_MAX ? size : EVENT_TEXT_MAX))
		return;
	if (r->events_lost++ == 0)
		r->events_lost_ms = now_ms;
}

static size_t format(const struct logged *n, char *out, const char *stream, const char *text, size_t size,
		     bool partial)
{
	return n->service.json ? logformat_json(out, now_text, stream, text, size, partial) :
	       logformat_text(out, text, size);
}

/* Why a line that does not fit must be dropped; NULL: the writer makes progress, so wait for room. */
static const char *why_drop(const struct logged *n)
{
	if (n->failing)
		return n->why;
	if (log_now_ms() - share.progress_ms <= LOG_PATIENCE_MS)
		return NULL;
	return share.open ? "the disk accepts no writes" : share.open_wanted ? "the directory is not writable yet" :
	       "its disk is not open yet";
}

/* The line in the log that says how many are missing. */
static size_t format_gap(const struct logged *n, const struct reader *r, char *out)
{
	char text[128];
	int size = snprintf(text, sizeof(text), "gantry: %" PRIu64 " lines (%" PRIu64 " bytes) are missing here",
			    r->lost_lines, r->lost_bytes);

	return format(n, out, "gantry", text, (size_t)size, false);
}

enum put {
	PUT_DONE,
	PUT_DROPPED,
	PUT_WAIT,
};

/* Puts `line` into the ring and, before it, the line about missing ones. */
static enum put put(size_t node, const char *line, size_t size, const char **ret_why)
{
	struct logged *n = &share.nodes[node];
	struct reader *r = readers[node];
	char gap[512];
	size_t gap_size = r->lost_lines ? format_gap(n, r, gap) : 0;
	size_t room = r->lost_lines ? LOGRING_SIZE / 2 : gap_size + size;	/* no gap after every other line */
	enum put done = PUT_DONE;

	pthread_mutex_lock(&share.lock);
	if (logring_room(n->ring) >= room) {
		if (n->ring->used == 0)
			pthread_cond_signal(&share.work);
		logring_put(n->ring, gap, gap_size);
		logring_put(n->ring, line, size);
	} else {
		*ret_why = why_drop(n);
		done = *ret_why ? PUT_DROPPED : PUT_WAIT;
		share.readers_wait = share.readers_wait || done == PUT_WAIT;
	}
	pthread_mutex_unlock(&share.lock);
	return done;
}

static void lose(size_t node, const struct logsplit_line *line, const char *why)
{
	struct reader *r = readers[node];

	if (!r->said_lost)
		logchannel_say(EVENT_WARNING, node, "log: dropping lines: %s", why);
	r->said_lost = true;
	r->lost_lines++;
	r->lost_bytes += line->taken;
	__atomic_fetch_add(&tails[node].dropped, 1, __ATOMIC_RELAXED);
}

static void found_room(size_t node)
{
	struct reader *r = readers[node];

	if (r->said_lost)
		logchannel_say(EVENT_WARNING, node, "log: %" PRIu64 " lines (%" PRIu64 " bytes) were dropped",
			       r->lost_lines, r->lost_bytes);
	r->said_lost = false;
	r->lost_lines = r->lost_bytes = 0;
}

/* False: the line must wait for the writer. */
static bool take_line(size_t node, size_t stream, const struct logsplit_line *line)
{
	static char clean[LOG_CLEAN_MAX], formatted[LOG_FORMATTED_MAX];
	const struct logged *n = &share.nodes[node];
	const char *why = NULL;
	size_t size = line->size, formatted_size;

	if (size > 0 && line->bytes[size - 1] == '\r')
		size--;
	size = utf8_clean(clean, sizeof(clean), line->bytes, size);
	formatted_size = format(n, formatted, stream == LOG_STDERR ? "stderr" : "stdout", clean, size, line->partial);
	switch (put(node, formatted, formatted_size, &why)) {
	case PUT_WAIT:
		return false;
	case PUT_DROPPED:
		lose(node, line, why);
		break;
	case PUT_DONE:
		found_room(node);
		break;
	}
	if (size > 0)
		logtail_add(&tails[node], clean, size);
	if (size > 0 && n->service.events)
		make_event(node, clean, size);
	return true;
}

/* ---- from the pipes --------------------------------------------------------------------------------------------- */

static void want(size_t node, size_t stream, bool on)
{
	struct stream *s = &readers[node]->streams[stream];
	struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.u64 = node * LOG_STREAMS + stream + 1};

	s->paused = !on;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
}

/* Takes all complete lines. False: the ring is full, the stream paused. */
static bool take_lines(size_t node, size_t stream, bool last)
{
	struct stream *s = &readers[node]->streams[stream];
	struct logsplit_line line;

	while (logsplit_next(&s->split, last, &line)) {
		if (!take_line(node, stream, &line)) {
			want(node, stream, false);
			return false;
		}
		logsplit_take(&s->split, &line);
	}
	return true;
}

/* Reads at most `size` bytes. False: paused. */
static bool read_stream(size_t node, size_t stream, size_t size)
{
	struct stream *s = &readers[node]->streams[stream];

	while (size > 0) {
		size_t room;
		char *to = logsplit_room(&s->split, &room);
		ssize_t n = read(s->fd, to, size < room ? size : room);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		size -= (size_t)n;
		logsplit_filled(&s->split, (size_t)n);
		if (!take_lines(node, stream, false))
			return false;
	}
	return true;
}

static void read_ready(size_t node, size_t stream)
{
	if (!readers[node]->streams[stream].paused)
		read_stream(node, stream, READS_A_TURN * LOG_LINE_MAX);
}

/* After the end of the process: reads the rest of its pipes and a last line without newline. False: paused. */
static bool read_rest(size_t node)
{
	bool all = true;

	for (size_t k = 0; k < LOG_STREAMS; k++) {
		struct stream *s = &readers[node]->streams[k];
		int n = 0;

		if (s->fd < 0)
			continue;
		if (!take_lines(node, k, false) || (ioctl(s->fd, FIONREAD, &n) == 0 && n > 0 &&
						    !read_stream(node, k, (size_t)n)) || !take_lines(node, k, true))
			all = false;
	}
	return all;
}

static void end_process(size_t node)
{
	struct reader *r = readers[node];

	r->end_due = !read_rest(node);
	if (!r->end_due)
		logchannel_send(LOG_READ, node, r->end, NULL, 0);
}

/* Takes lines of paused streams: there may be room again, or waiting has become pointless. */
static void resume(void)
{
	for (size_t i = 0; i < share.n_nodes; i++) {
		for (size_t k = 0; readers[i] && k < LOG_STREAMS; k++)
			if (readers[i]->streams[k].paused && take_lines(i, k, false))
				want(i, k, true);
		if (readers[i] && readers[i]->end_due)
			end_process(i);
	}
}

static bool anything_paused(void)
{
	for (size_t i = 0; i < share.n_nodes; i++)
		for (size_t k = 0; readers[i] && k < LOG_STREAMS; k++)
			if (readers[i]->streams[k].paused)
				return true;
	return false;
}

/* ---- from PID 1 ------------------------------------------------------------------------------------------------- */

static int add_node(size_t node, const struct log_service *service)
{
	struct logged *n = &share.nodes[node];
	struct logring *ring;
	struct reader *r;

	if (readers[node])
		return 0;
	r = calloc(1, sizeof(*r));
	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!r || ring == MAP_FAILED) {
		free(r);
		return -ENOMEM;
	}
	for (size_t k = 0; k < LOG_STREAMS; k++)
		r->streams[k].fd = -1;
	n->service = *service;
	n->service.name[sizeof(n->service.name) - 1] = '\0';
	n->file = (struct logfile){.fd = -1, .max_bytes = service->max_bytes, .files = service->files};
	memcpy(n->file.name, n->service.name, sizeof(n->file.name));
	if (hello.again) {
		char line[256];
		static const char text[] = "gantry: the log was interrupted here; lines may be missing";

		logring_put(ring, line, format(n, line, "gantry", text, sizeof(text) - 1, false));
	}
	pthread_mutex_lock(&share.lock);
	n->ring = ring;
	pthread_cond_signal(&share.work);
	pthread_mutex_unlock(&share.lock);
	readers[node] = r;
	return 0;
}

static void take_pipe(const struct log_head *head, const struct log_service *service, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = head->node * LOG_STREAMS + head->argument + 1};
	int r = add_node(head->node, service);

	if (r == 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		r = -errno;
	if (r < 0) {
		logchannel_say(EVENT_ERROR, head->node, "log: %s", strerror(-r));
		close(fd);
		return;
	}
	readers[head->node]->streams[head->argument].fd = fd;
}

static void signal_writer(bool *flag)
{
	pthread_mutex_lock(&share.lock);
	*flag = true;
	pthread_cond_signal(&share.work);
	pthread_mutex_unlock(&share.lock);
}

/* fd: attached, or -1; taken over. */
static void take_message(const struct log_head *head, const void *body, int fd)
{
	bool known = head->node < share.n_nodes;

	if (head->kind == LOG_PIPE && known && head->argument < LOG_STREAMS && fd >= 0 &&
	    head->size == sizeof(struct log_service)) {
		take_pipe(head, body, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (head->kind == LOG_OPEN) {
		signal_writer(&share.open_wanted);
	} else if (head->kind == LOG_ENDED && known && readers[head->node]) {
		readers[head->node]->end = head->argument;
		end_process(head->node);
	} else if (head->kind == LOG_FINISH) {
		finishing = true;
		finish_ms = log_now_ms();
	}
}

static bool take_messages(void)
{
	_Alignas(8) char body[LOG_BODY_MAX];
	struct log_head head;
	int fd, r;

	while ((r = logchannel_receive(&head, body, &fd, MSG_DONTWAIT)) > 0)
		take_message(&head, body, fd);
	return r == 0;
}

/* ---- the process ------------------------------------------------------------------------------------------------ */

static void read_clock(void)
{
	struct text t = TEXT_FIXED(now_text);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	time_rfc3339(&t, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec / 1000 * 1000, true);
	now_text[t.size < sizeof(now_text) ? t.size : sizeof(now_text) - 1] = '\0';
}

/* All output of ended services is in the rings, or the time for that is over. */
static bool finished(void)
{
	bool all = true;

	if (!finishing)
		return false;
	for (size_t i = 0; i < share.n_nodes; i++)
		if (readers[i] && !read_rest(i))
			all = false;
	return all || log_now_ms() - finish_ms > FINISH_MS;
}

/* False: PID 1 is gone. */
static bool turn(int timeout_ms)
{
	struct epoll_event events[64];
	int n = epoll_wait(epoll_fd, events, 64, timeout_ms);
	uint64_t count;

	read_clock();
	for (int i = 0; i < n; i++) {
		uint64_t key = events[i].data.u64;

		if (key == 0 && !take_messages())
			return false;
		if (key == UINT64_MAX)
			(void)!read(share.readers_event, &count, sizeof(count));
		if (key > 0 && key < UINT64_MAX)
			read_ready((key - 1) / LOG_STREAMS, (key - 1) % LOG_STREAMS);
	}
	resume();
	return true;
}

static void follow(void)
{
	while (turn(anything_paused() || finishing ? LOG_PATIENCE_MS / 4 : -1))
		if (finished())
			return;
}

static int take_hello(void)
{
	_Alignas(8) char body[LOG_BODY_MAX];
	struct log_head head;
	int fd = -1, r;

	do
		r = logchannel_receive(&head, body, &fd, 0);
	while (r == 0);
	if (r < 0 || head.kind != LOG_HELLO || head.size != sizeof(hello) || fd < 0)
		return -EBADMSG;
	memcpy(&hello, body, sizeof(hello));
	share.n_nodes = hello.nodes;
	tails = mmap(NULL, hello.nodes * sizeof(*tails), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return tails == MAP_FAILED ? -errno : 0;
}

static int prepare(void)
{
	struct epoll_event channel = {.events = EPOLLIN, .data.u64 = 0};
	struct epoll_event room = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
	pthread_condattr_t monotonic;

	share.progress_ms = log_now_ms();
	share.nodes = calloc(share.n_nodes, sizeof(*share.nodes));
	readers = calloc(share.n_nodes, sizeof(*readers));
	if (!share.nodes || !readers)
		return -ENOMEM;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	share.readers_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (epoll_fd < 0 || share.readers_event < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, LOG_CHANNEL_FD, &channel) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, share.readers_event, &room) < 0)
		return -errno;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	return -pthread_cond_init(&share.work, &monotonic);
}

static int start_writer(pthread_t *ret)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	return -pthread_create(ret, &attributes, logwriter_run, &share);
}

static int fail(const char *what, int r)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	return 1;
}

int service_log_main(int argc, char **argv)
{
	const char *what = "reading the hello from PID 1 failed";
	pthread_t writer;
	int r;

	(void)argc;
	(void)argv;
	prctl(PR_SET_NAME, "gantry-log");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN);	/* it ends on LOG_FINISH, after the last service */
	signal(SIGINT, SIG_IGN);
	setpriority(PRIO_PROCESS, 0, NICE);
	r = take_hello();
	if (r == 0) {
		what = "starting the opener of the log directory failed";
		r = logopener_start(&hello, &share.opener);
	}
	if (r == 0) {
		what = "preparing the tables failed";
		r = prepare();
	}
	if (r == 0)
		r = logconfine_identity(&what);
	if (r == 0) {
		what = "starting the writer thread failed";
		r = start_writer(&writer);
	}
	if (r == 0)
		r = logconfine_calls(BASE_MEMORY + share.n_nodes * NODE_MEMORY, &what);
	if (r < 0)
		return fail(what, r);
	follow();
	signal_writer(&share.finish);
	pthread_join(writer, NULL);
	return 0;
}
