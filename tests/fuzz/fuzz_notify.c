/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any datagrams on the notify socket, which every service may write to. The first byte says which process sends, whether
 * its service waits for READY=1, and whether a descriptor comes along; then come pieces (target.h), a datagram each. The
 * plan hears exactly of the words that the datagram has as lines, and a datagram makes no more events than it has lines.
 */
/* links: init/node/ready.c init/process/relay.c plan event init/lib */
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fake_loop.h"
#include "init/event/event.h"
#include "init/lib/fdpass.h"
#include "init/lib/inbox.h"
#include "init/lib/unixsock.h"
#include "init/node/probe.h"
#include "init/node/ready.h"
#include "init/node/whose.h"
#include "init/plan/plan.h"
#include "target.h"

enum {NO_SERVICE = 1, WAITS = 2, HANDS_ON = 4};

#define TAKEN_MAX 1024	/* bytes of a datagram that are looked at */

static struct config_node services[] = {
	{.name = (char *)"stage", .kind = NODE_STAGE, .enabled = true, .deadline_ms = 1000},
	{.name = (char *)"service", .kind = NODE_SERVICE, .enabled = true, .ready = READY_NOTIFY, .stop_grace_ms = 5000,
	 .ready_deadline_ms = 10000, .stable_ms = 10000, .restart = RESTART_ALWAYS, .stop_signal = 15,
	 .retry_min_ms = 1000, .retry_max_ms = 1000},
};
static struct config config = {.nodes = services, .n_nodes = 2};
static struct plan plan;
static const char *sender;
static unsigned times_ready;
static int peer = -1;

const char *whose_pid(int pid)
{
	must(pid == getpid(), "the kernel says who sends");
	return sender;
}

void probe_begin(size_t node, enum probe_kind kind)
{
	(void)node;
	(void)kind;
}

void probe_end(size_t node)
{
	(void)node;
}

int unixsock_bind(const char *path, int type)
{
	int pair[2];

	(void)path;
	must(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) == 0 &&
	     setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) == 0, "a socket pair");
	peer = pair[1];
	return pair[0];
}

static void became_ready(size_t node)
{
	must(node == 1, "only a service becomes ready");
	times_ready++;
	plan_ready(&plan, node, fake_now_ns);
}

/* Whether one of the lines is that word, or begins with it if it ends in "=". */
static bool has_line(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		if ((at == text || at[-1] == '\n') && (word[n - 1] == '=' || at[n] == '\n' || at[n] == '\0'))
			return true;
	return false;
}

static size_t lines_of(const char *text)
{
	size_t n = 1;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void drain(struct plan *with)
{
	struct plan_action action;

	while (plan_next(with, &action))
		;
}

/* While the process that keeps descriptors takes a message off, nothing of the socket is waited for. */
static void await_keeper(void)
{
	for (int i = 0; i < 5000; i++) {
		bool waits = false;

		for (size_t k = 0; k < FAKE_SOURCES_MAX; k++)
			waits = waits || (fake_sources[k] && !fake_sources[k]->events);
		if (!waits)
			return;
		fake_turn();
		usleep(i < 100 ? 0 : 1000);
		if (i == 3000)
			fake_pass(6000000000);		/* it got no processor: it is killed */
	}
	must(false, "the socket is waited for again");
}

/* libFuzzer's symbolizer would be a child, too, that never ends: `make fuzz` has no function's name printed. */
static void end_keeper(void)
{
	pid_t pid;

	fake_pass(2000000000);
	while ((pid = waitpid(-1, NULL, 0)) > 0)
		inbox_reaped(pid);
}

static void one(struct input piece, bool waits, bool with_descriptor)
{
	struct plan_node *node = &plan.nodes[1];
	char text[TAKEN_MAX + 1] = "";
	uint64_t last = event_last(), drops = event_drops();
	unsigned was_ready = times_ready;
	struct iovec part = {(void *)piece.bytes, piece.size};

	memcpy(text, piece.bytes, piece.size < TAKEN_MAX ? piece.size : TAKEN_MAX);
	node->alive_ns = 0;
	fake_now_ns += 1000000000;
	must(fd_send(peer, &part, 1, &(int){0}, with_descriptor, MSG_DONTWAIT) == 0, "sending");
	for (size_t i = 0; i < FAKE_SOURCES_MAX; i++)
		if (fake_sources[i])
			fake_sources[i]->ready(fake_sources[i], EPOLLIN);
	await_keeper();
	if (!sender || strcmp(sender, "service") != 0) {
		must(times_ready == was_ready && node->alive_ns == 0 && node->state == NODE_RUNNING, "others have no say");
		must(event_drops() == drops + 1, "what others send is counted");
		return;
	}
	must(event_last() - last <= lines_of(text) + 2, "no more events than lines");
	must(times_ready - was_ready == (waits && !was_ready && has_line(text, "READY=1")), "ready by its own word, once");
	must((node->alive_ns == fake_now_ns) == (has_line(text, "WATCHDOG=1") || times_ready != was_ready), "alive by its own word");
	if (!has_line(text, "STOPPING=1") && !has_line(text, "WATCHDOG=trigger"))
		must(node->state == NODE_RUNNING || node->state == NODE_READY, "it goes on unless it says otherwise");
	drain(&plan);
}

static void begin(uint8_t how)
{
	static bool prepared;

	if (!prepared)
		must(event_init(50) == 0 && plan_init(&plan, &config) == 0 && ready_init(&plan, became_ready) == 0,
		     "the start");
	prepared = true;
	sender = how & NO_SERVICE ? how & WAITS ? "stage" : NULL : "service";
	drain(&plan);
	plan_deinit(&plan);
	must(plan_init(&plan, &config) == 0, "a plan");
	plan_step(&plan, fake_now_ns);
	drain(&plan);
	must(plan.nodes[1].state == NODE_RUNNING, "the service has begun");
	plan_launched(&plan, 1, fake_now_ns);
	drain(&plan);
	if (how & WAITS)
		ready_watch(1);
	else
		ready_forget(1);
	times_ready = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size}, piece;
	uint8_t how = input_byte(&input);
	size_t before;

	begin(how);
	before = open_fds();
	for (int n = 0; n < 64 && input_piece(&input, &piece); n++) {
		one(piece, how & WAITS, how & HANDS_ON);
		if (plan.nodes[1].state == NODE_STOPPING)
			break;
	}
	end_keeper();
	must(open_fds() == before, "no descriptor stays open");
	return 0;
}
