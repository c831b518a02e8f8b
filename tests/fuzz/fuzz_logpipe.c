/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any datagrams from the role service-log, and any bytes in the page of a service's last lines, which that role writes:
 * it reads what services print, so it may have been broken into. The first byte says how much of the input is the page
 * (in 16 bytes); then come pieces (target.h), a datagram each. Events and lines are clean and bounded, and the end of
 * a service is reported once.
 */
/* links: init/process/logpipe.c init/process/output.c init/process/relay.c event init/lib */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "fake_loop.h"
#include "init/event/event.h"
#include "init/lib/eventtext.h"
#include "init/lib/fdpass.h"
#include "init/lib/logtail.h"
#include "init/lib/logwire.h"
#include "init/lib/utf8.h"
#include "init/process/logpipe.h"
#include "target.h"

#define RING 200

static struct config_node services[] = {
	{.name = (char *)"one", .kind = NODE_SERVICE, .log_json = true},
	{.name = (char *)"two", .kind = NODE_SERVICE},
};
static struct config config = {.nodes = services, .n_nodes = 2, .logs = true, .logs_directory = (char *)"/logs",
			       .logs_group = (char *)"group"};
static struct logtail *tails;
static unsigned over;

/* PID 1's first message has the pages attached. */
static void take_hello(int fd)
{
	char bytes[sizeof(struct log_head) + LOG_BODY_MAX];
	struct iovec part = {bytes, sizeof(bytes)};
	struct fd_received received;

	must(fd_receive(fd, &part, 1, 1, &received, MSG_DONTWAIT) > 0 && received.n == 1, "hello");
	if (!tails)
		tails = mmap(NULL, 2 * sizeof(*tails), PROT_READ | PROT_WRITE, MAP_SHARED, received.fds[0], 0);
	must(tails != MAP_FAILED, "the pages");
	fd_close(&received);
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void service_over(void *with)
{
	must(with == &config, "its own context");
	over++;
}

static bool is_clean(const char *text, size_t size)
{
	char out[LOGTAIL_SIZE];

	return size <= sizeof(out) && utf8_clean(out, sizeof(out), text, size) == size && !memcmp(out, text, size);
}

static void check_tail(void)
{
	static char out[LOGTAIL_BYTES_MAX];
	char last[NODE_REASON_MAX];
	size_t at = 0, lines = 0;

	for (size_t n; (n = logpipe_lines(0, &at, out, sizeof(out))) > 0;) {
		must(n <= sizeof(out) && !out[n - 1], "whole lines");
		for (size_t i = 0; i < n; i += strlen(out + i) + 1, lines++)
			must(strlen(out + i) <= LOGTAIL_LINE_MAX && is_clean(out + i, strlen(out + i)), "a clean line");
	}
	must(lines == at && lines <= LOGTAIL_LINES, "as many lines as there may be");
	if (logpipe_last_line(0, last))
		must(memchr(last, 0, sizeof(last)), "the last line ends");
}

static void check_events(uint64_t seq)
{
	char record[EVENT_RECORD_MAX];
	struct event_view e;

	for (size_t n; (n = event_read(&seq, record)) > 0; seq++)
		must(event_view(&e, record, n) == 0 && is_clean(e.text, e.head.text_size) && e.head.fields_size == 0,
		     "a clean event");
}

/* Whether the datagram says that service `one` has been read to its present end. */
static bool is_read(struct input piece, uint32_t end)
{
	struct log_head head;

	if (piece.size < sizeof(head) || piece.size > sizeof(head) + LOG_BODY_MAX)
		return false;
	memcpy(&head, piece.bytes, sizeof(head));
	return head.kind == LOG_READ && head.node == 0 && head.argument == end && head.size == piece.size - sizeof(head);
}

static void ready(void)
{
	for (size_t i = 0; i < FAKE_SOURCES_MAX; i++)
		if (fake_sources[i])
			fake_sources[i]->ready(fake_sources[i], EPOLLIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static uint32_t ends;
	static size_t before;
	struct input input = {bytes, size}, piece;
	size_t page = input_byte(&input) * 16u;
	bool read = false;
	int pair[2], out, err;
	uint64_t seq;

	if (!tails)
		must(event_init(RING) == 0 && logpipe_init(&config) == 0, "the start");
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 && logpipe_attach(pair[0]) == 0, "a channel");
	take_hello(pair[1]);
	page = page < input.size ? page : input.size;
	page = page < sizeof(*tails) ? page : sizeof(*tails);
	memset(tails, 0, sizeof(*tails));
	must(logpipe_open(0, &out, &err) == 0, "pipes");
	memcpy(tails, input.bytes, page);
	input.bytes += page;
	input.size -= page;
	check_tail();
	over = 0;
	logpipe_exited(0, true, service_over, &config);
	ends++;
	seq = event_last() + 1;
	for (int n = 0; n < 64 && input_piece(&input, &piece); n++) {
		if (!piece.size)	/* no message, but the end */
			continue;
		must(send(pair[1], piece.bytes, piece.size, MSG_DONTWAIT) == (ssize_t)piece.size, "sending");
		ready();
		read |= is_read(piece, ends);
		must(over == read, "a service is over when the role has said so");
	}
	check_events(seq);
	close(pair[1]);
	ready();
	must(over == 1, "without the role a service is over, once");
	must(!before || open_fds() == before, "no descriptor stays open");
	before = open_fds();
	return 0;
}
