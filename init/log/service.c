/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role `service-log`: reads the services' output and writes NAME.log (docs/logs.md). PID 1 passes the pipes and keeps
 * them open, so this process may crash at any time. It runs as a user of its own, without network, and with fixed
 * buffers for each service: a service that floods is slowed down to the speed of the disk; while the disk accepts
 * nothing, lines are dropped and counted, and the count is reported as an event and in the log itself. A pipe that
 * somebody holds (init/lib/guard.h) costs a thread, and its service its lines.
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
#include "init/lib/guard.h"
#include "init/lib/logtail.h"
#include "init/lib/utf8.h"
#include "opener.h"
#include "ring.h"
#include "writer.h"

#define NICE          10
#define READS_A_TURN  16
#define REPORT_MS     1000	/* between two reports of lines that did not become events */
#define FINISH_MS     1000	/* to read the pipes of ended services */
#define REST_MAX      (1 << 20)	/* bytes in the pipe of an ended process: as much as one of an ordinary user holds */
#define HELD_MS       1000	/* until an event says that a pipe is held: a slow machine holds it shortly, too */
#define PENALTY_MS    100	/* for a pipe that was held, doubled each time, up to ... */
#define PENALTY_MAX   7		/* ... so many times: others must not wait because one is held again and again */
#define THREAD_STACK  (256 * 1024)
#define SPARE_STACK   (64 * 1024)
#define BASE_MEMORY   (64 << 20)
#define NODE_MEMORY   (LOGRING_SIZE + sizeof(struct reader) + 16384 + LOG_STREAMS * 2 * SPARE_STACK)

struct stream {
	int fd;			/* -1: none */
	bool paused;		/* not read from: its ring is full */
	bool busy;		/* a thread reads it; from now on, left alone by all others */
	bool told_held;		/* an event says that somebody holds the pipe */
	int64_t held_ms;	/* since when others go on without that thread; 0: they do not */
	unsigned times_held;
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
static pthread_t writer;
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
	       logformat_text(out, text, size, partial);
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

/* Called by the thread that goes on in place of the one that reads the stream. */
static void held(void *with)
{
	struct stream *s = with;

	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	s->held_ms = log_now_ms();
}

/* Called by the thread that has read it at last. */
static void released(size_t node, size_t stream)
{
	struct stream *s = &readers[node]->streams[stream];
	struct epoll_event event = {.data.u64 = node * LOG_STREAMS + stream + 1};
	int64_t ms = (int64_t)PENALTY_MS << s->times_held;
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	if (s->told_held)
		logchannel_say(EVENT_NOTICE, node, "log: its output is read again");
	s->told_held = false;
	s->held_ms = 0;
	s->times_held += s->times_held < PENALTY_MAX;
	guard_rest();
	nanosleep(&time, NULL);
	guard_resume();
	s->busy = false;
	event.events = s->paused ? 0 : EPOLLIN;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
}

static void say_held(size_t node, size_t stream)
{
	struct stream *s = &readers[node]->streams[stream];

	if (s->told_held || !s->held_ms || log_now_ms() - s->held_ms < HELD_MS)
		return;
	s->told_held = true;
	logchannel_say(EVENT_WARNING, node, "log: its output cannot be read: a process holds the pipe");
}

/* Reads at most `size` bytes. False: paused, or held. */
static bool read_stream(size_t node, size_t stream, size_t size)
{
	struct stream *s = &readers[node]->streams[stream];

	while (size > 0) {
		bool in_time, room_left = true;
		size_t room;
		char *to = logsplit_room(&s->split, &room);
		ssize_t n;

		s->busy = true;
		guard_call(s);
		n = read(s->fd, to, size < room ? size : room);
		if (n < 0)
			n = -errno;
		in_time = guard_done();
		if (n > 0) {
			logsplit_filled(&s->split, (size_t)n);
			room_left = take_lines(node, stream, false);
			size -= (size_t)n;
		}
		if (!in_time) {
			released(node, stream);
			return false;
		}
		s->busy = false;
		if (!room_left)
			return false;
		if (n <= 0 && n != -EINTR)
			break;
	}
	return true;
}

static void read_ready(size_t node, size_t stream)
{
	if (!readers[node]->streams[stream].paused && !readers[node]->streams[stream].busy)
		read_stream(node, stream, READS_A_TURN * LOG_LINE_MAX);
}

/* After the end of the process: reads the rest of its pipes and a last line without newline. False: paused, or held. */
static bool read_rest(size_t node)
{
	bool all = true;

	for (size_t k = 0; k < LOG_STREAMS; k++) {
		struct stream *s = &readers[node]->streams[k];

		if (s->fd < 0)
			continue;
		if (s->busy || !take_lines(node, k, false) || !read_stream(node, k, REST_MAX) ||
		    !take_lines(node, k, true))
			all = false;
		if (guard_late())
			return false;
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
	for (size_t i = 0; i < share.n_nodes && !guard_late(); i++) {
		for (size_t k = 0; readers[i] && k < LOG_STREAMS; k++) {
			say_held(i, k);
			if (readers[i]->streams[k].paused && !readers[i]->streams[k].busy && take_lines(i, k, false))
				want(i, k, true);
		}
		if (readers[i] && readers[i]->end_due)
			end_process(i);
	}
}

/* Something has to be looked at again that no event tells. */
static bool anything_paused(void)
{
	for (size_t i = 0; i < share.n_nodes; i++)
		for (size_t k = 0; readers[i] && k < LOG_STREAMS; k++)
			if (readers[i]->streams[k].paused || readers[i]->streams[k].held_ms)
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
	for (size_t i = 0; i < share.n_nodes && !guard_late(); i++)
		if (readers[i] && !read_rest(i))
			all = false;
	return all || log_now_ms() - finish_ms > FINISH_MS;
}

/* False: PID 1 is gone. */
static bool take_events(int timeout_ms)
{
	struct epoll_event events[64];
	uint64_t count;
	int n;

	guard_rest();
	n = epoll_wait(epoll_fd, events, 64, timeout_ms);
	guard_resume();
	read_clock();
	for (int i = 0; i < n && !guard_late(); i++) {
		uint64_t key = events[i].data.u64;

		if (key == 0 && !take_messages())
			return false;
		if (key == UINT64_MAX)
			(void)!read(share.readers_event, &count, sizeof(count));
		if (key > 0 && key < UINT64_MAX)
			read_ready((key - 1) / LOG_STREAMS, (key - 1) % LOG_STREAMS);
	}
	return true;
}

_Noreturn static void end(void)
{
	signal_writer(&share.finish);
	pthread_join(writer, NULL);
	exit(0);
}

static void turn(void)
{
	if (!take_events(anything_paused() || finishing ? LOG_PATIENCE_MS / 4 : -1))
		end();
	if (!guard_late())
		resume();
	if (!guard_late() && finished())
		end();
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

static int start_writer(void)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	return -pthread_create(&writer, &attributes, logwriter_run, &share);
}

static int fail(const char *what, int r)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	return 1;
}

int service_log_main(int argc, char **argv)
{
	static const struct guard guard = {.turn = turn, .held = held, .stack_size = SPARE_STACK};
	const char *what = "reading the hello from PID 1 failed";
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
		r = start_writer();
	}
	if (r == 0)
		r = logconfine_calls(BASE_MEMORY + share.n_nodes * NODE_MEMORY, &what);
	if (r == 0) {
		what = "starting the watching thread failed";
		r = guard_run(&guard);
	}
	return fail(what, r);
}
