/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role `service-log`: reads the services' output and writes NAME.log (docs/logs.md). PID 1 passes the pipes and keeps
 * them open, so this process may crash at any time. It runs as a user of its own, without network. One thread reads
 * (pipes.h, lines.h), one writes (writer.h).
 */
#include <errno.h>
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
#include <unistd.h>

#include <gantry/role.h>

#include "channel.h"
#include "confine.h"
#include "init/lib/guard.h"
#include "init/lib/logtail.h"
#include "lines.h"
#include "opener.h"
#include "pipes.h"
#include "ring.h"
#include "writer.h"

#define NICE          10
#define FINISH_MS     1000	/* to read the pipes of ended services */
#define THREAD_STACK  (256 * 1024)
#define SPARE_STACK   (64 * 1024)
#define BASE_MEMORY   (64 << 20)
#define NODE_MEMORY   (LOGRING_SIZE + pipes_node_size + 16384 + LOG_STREAMS * 2 * SPARE_STACK)

static struct logshare share = {.lock = PTHREAD_MUTEX_INITIALIZER, .readers_event = -1, .opener = -1};
static struct logtail *tails;
static struct log_hello hello;
static int epoll_fd = -1;
static bool finishing;
static int64_t finish_ms;
static pthread_t writer;

/* ---- from PID 1 ------------------------------------------------------------------------------------------------- */

static int add_node(size_t node, const struct log_service *service)
{
	struct logged *n = &share.nodes[node];
	struct logring *ring;

	if (pipes_has(node))
		return 0;
	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ring == MAP_FAILED)
		return -ENOMEM;
	if (pipes_add_node(node) < 0) {
		munmap(ring, sizeof(*ring));
		return -ENOMEM;
	}
	n->service = *service;
	n->service.name[sizeof(n->service.name) - 1] = '\0';
	n->file = (struct logfile){.fd = -1, .max_bytes = service->max_bytes, .files = service->files};
	memcpy(n->file.name, n->service.name, sizeof(n->file.name));
	if (hello.again)
		lines_interrupted(n, ring);
	pthread_mutex_lock(&share.lock);
	n->ring = ring;
	pthread_cond_signal(&share.work);
	pthread_mutex_unlock(&share.lock);
	return 0;
}

static void take_pipe(const struct log_head *head, const struct log_service *service, int fd)
{
	int r = add_node(head->node, service);

	if (r == 0)
		r = pipes_add(head->node, head->argument, fd);
	if (r < 0) {
		logchannel_say(EVENT_ERROR, head->node, "log: %s", strerror(-r));
		close(fd);
	}
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
	} else if (head->kind == LOG_ENDED && known) {
		pipes_ended(head->node, head->argument);
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

/* All output of ended services is in the rings, or the time for that is over. */
static bool finished(void)
{
	return finishing && (pipes_read_all() || log_now_ms() - finish_ms > FINISH_MS);
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
	lines_read_clock();
	for (int i = 0; i < n && !guard_late(); i++) {
		uint64_t key = events[i].data.u64;

		if (key == 0 && !take_messages())
			return false;
		if (key == UINT64_MAX)
			(void)!read(share.readers_event, &count, sizeof(count));
		if (key > 0 && key < UINT64_MAX)
			pipes_ready((key - 1) / LOG_STREAMS, (key - 1) % LOG_STREAMS);
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
	if (!take_events(pipes_wait() || finishing ? LOG_PATIENCE_MS / 4 : -1))
		end();
	if (!guard_late())
		pipes_resume();
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
	if (!share.nodes || lines_init(&share, tails) < 0)
		return -ENOMEM;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	share.readers_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (epoll_fd < 0 || share.readers_event < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, LOG_CHANNEL_FD, &channel) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, share.readers_event, &room) < 0)
		return -errno;
	if (pipes_init(share.n_nodes, epoll_fd) < 0)
		return -ENOMEM;
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
	static const struct guard guard = {.turn = turn, .held = pipes_held, .stack_size = SPARE_STACK};
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
