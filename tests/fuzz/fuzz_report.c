/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any datagrams on a child's report socket, as a stage that was broken into sends them. The first byte says whose child
 * it is (`OF_NODE` and the others); then come pieces (target.h): what is attached, and either a datagram as it is, or
 * kind, level, flags and body, to which a right head is put. Each datagram is used or dropped and counted, answers are
 * of the protocol, no descriptor stays open, and what is kept is bounded text.
 */
/* links: init/process/report.c init/process/output.c init/process/relay.c init/node/facts.c event init/lib */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "fake_loop.h"
#include "init/event/event.h"
#include "init/lib/eventtext.h"
#include "init/lib/fdpass.h"
#include "init/lib/memfd.h"
#include "init/node/facts.h"
#include "init/process/row.h"
#include "target.h"

enum {OF_NODE = 1, HAS_GIVEN = 2, HAS_TAKE = 4, HAS_REPORTED = 8, IS_SERVICE = 16};
enum {ATTACH_SEALED = 1, ATTACH_OPEN = 2, ATTACH_TWO = 3, RAW = 0x80};

static struct child child;
static size_t asked, started;

static bool is_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n < ARTIFACT_NAME_MAX && !name[n];
}

static int give(size_t node, const char *name, int fd)
{
	int r = memfd_check(fd, 1000);

	must(node == 0 && is_name(name), "an artifact's name");
	if (r == 0 && name[0] == 'x')
		r = -EPERM;
	if (r == 0)
		close(fd);
	return r;
}

static bool given(struct child *of, const char *name, int fd)
{
	must(of == &child && is_name(name) && memfd_check(fd, ARTIFACT_SIZE_MAX) == 0, "a sealed artifact with a name");
	if (name[0] == 'x')
		return false;
	close(fd);
	return true;
}

static int take(size_t node, const char *name, int *ret_fd)
{
	must(node == 0 && is_name(name), "an artifact's name");
	if (name[0] == 'l')
		return -EAGAIN;
	if (name[0] == 'n')
		return -ENOENT;
	if (name[0] == 'x')
		return -EPERM;
	*ret_fd = memfd_sealed(name, "content", 7);
	return *ret_fd < 0 ? *ret_fd : 0;
}

static int take_of_child(struct child *of, const char *name, int *ret_fd)
{
	must(of == &child, "the child");
	return take(0, name, ret_fd);
}

static void reported(struct child *of, enum report_kind kind, const char *strings, size_t size)
{
	must(of == &child && (kind == REPORT_CHANGED || kind == REPORT_FLAGS || kind == REPORT_TRACE) && size > 0 && !strings[size - 1],
	     "strings that end");
}

static void has_started(struct child *of)
{
	must(of == &child, "the child");
	started++;
}

static const struct child_nodes nodes = {give, take, facts_take, facts_take_progress};

static void begin(uint8_t whose, int fd)
{
	static char text[NODE_REASON_MAX], reason[NODE_REASON_MAX], takes[CHILD_TAKES_MAX][ARTIFACT_NAME_MAX];
	static bool prepared;

	if (!prepared)
		must(event_init(50) == 0 && facts_init(1) == 0, "the start");
	prepared = true;
	memset(text, 0, sizeof(text));
	memset(reason, 0, sizeof(reason));
	memset(takes, 0, sizeof(takes));
	child = (struct child){
		.used = true, .text = text, .reason = reason, .takes = takes,
		.spec = {.source = "child", .node = whose & OF_NODE ? 0 : CHILD_NO_NODE, .started = has_started,
			 .given = whose & HAS_GIVEN ? given : NULL, .take = whose & HAS_TAKE ? take_of_child : NULL,
			 .reported = whose & HAS_REPORTED ? reported : NULL, .service = whose & IS_SERVICE ? "{}" : NULL},
		.report = {.fd = -1, .ready = child_report_ready},
	};
	child_report_init(&child, 1, &nodes);
	must(loop_add(&child.report, fd, EPOLLIN) == 0, "a source");
	asked = started = 0;
}

static int attachment(bool sealed)
{
	int fd = sealed ? memfd_sealed("given", "bytes", 5) : memfd_create("given", MFD_CLOEXEC);

	must(fd >= 0, "a memfd");
	return fd;
}

static void put(int fd, const struct report_head *head, struct input body, uint8_t attach)
{
	struct iovec parts[] = {{(void *)head, head ? sizeof(*head) : 0}, {(void *)body.bytes, body.size}};
	size_t n = attach == ATTACH_TWO ? 2 : attach == ATTACH_SEALED || attach == ATTACH_OPEN ? 1 : 0;
	int fds[2] = {-1, -1};

	for (size_t i = 0; i < n; i++)
		fds[i] = attachment(attach != ATTACH_OPEN);
	must(fd_send(fd, parts, 2, fds, n, MSG_DONTWAIT) == 0, "sending");
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static bool malformed(const struct report_head *head, size_t size)
{
	return size < sizeof(*head) || size > REPORT_DATAGRAM_MAX || head->size != size - sizeof(*head) ||
	       head->level >= EVENT_LEVEL_MAX || !head->kind || head->kind >= REPORT_KIND_MAX ||
	       head->kind == REPORT_TAKEN || head->kind == REPORT_ABSENT;
}

/* Sends one, and looks at what became of it. */
static void one(int fd, struct input piece)
{
	uint8_t attach = input_byte(&piece), what = attach & 3;
	struct report_head head = {0};
	uint64_t drops = event_drops();
	size_t size;
	bool bad;

	if (attach & RAW) {
		size = piece.size;
		if (size == 0)	/* no message, but the end */
			return;
		memcpy(&head, piece.bytes, size < sizeof(head) ? size : sizeof(head));
		put(fd, NULL, piece, what);
	} else {
		head = (struct report_head){.kind = input_byte(&piece), .level = input_byte(&piece),
					    .flags = input_byte(&piece)};
		head.size = (uint32_t)piece.size;
		size = sizeof(head) + piece.size;
		put(fd, &head, piece, what);
	}
	bad = malformed(&head, size);
	asked += !bad && head.kind == REPORT_TAKE;
	child_report_ready(&child.report, EPOLLIN);
	must(child.report.fd >= 0, "a datagram does not close the socket");
	must(event_drops() - drops <= 1 && (!bad || event_drops() - drops == 1), "a malformed datagram is counted once");
	must(memchr(child.text, 0, NODE_REASON_MAX) && memchr(child.reason, 0, NODE_REASON_MAX), "texts end");
}

static void check_answers(int fd)
{
	struct {
		struct report_head head;
		char name[ARTIFACT_NAME_MAX];
	} answer;
	struct iovec part = {&answer, sizeof(answer)};
	struct fd_received received;
	ssize_t n;

	while ((n = fd_receive(fd, &part, 1, 2, &received, MSG_DONTWAIT)) > 0) {
		must((size_t)n >= sizeof(answer.head) && answer.head.size == (size_t)n - sizeof(answer.head) &&
		     answer.head.size < ARTIFACT_NAME_MAX, "an answer's size");
		answer.name[answer.head.size] = '\0';
		must(is_name(answer.name) && asked > 0, "an answer to a request");
		must(answer.head.kind == (received.n == 1 ? REPORT_TAKEN : REPORT_ABSENT), "a descriptor comes with it, or not");
		asked--;
		fd_close(&received);
	}
}

static void check_kept(void)
{
	const char *facts = NULL;
	size_t size = facts_of(0, &facts);
	char record[EVENT_RECORD_MAX];
	uint64_t seq = event_last() > 50 ? event_last() - 50 : 1;

	must(size <= NODE_FACTS_MAX && (!size || !facts[size - 1]), "facts are bounded and end");
	for (size_t at = 0; at < size; at += strlen(facts + at) + 1)
		must(event_is_field(facts + at, strlen(facts + at)), "a fact is key=value");
	for (size_t n; (n = event_read(&seq, record)) > 0; seq++) {
		struct event_view e;

		must(event_view(&e, record, n) == 0, "a valid event");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size}, piece;
	size_t before = open_fds();
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
	begin(input_byte(&input), pair[0]);
	for (int n = 0; n < 64 && input_piece(&input, &piece); n++) {
		one(pair[1], piece);
		check_answers(pair[1]);
	}
	check_kept();
	child_answer_takes();
	check_answers(pair[1]);
	close(pair[1]);
	child_report_ready(&child.report, EPOLLIN);
	must(child.report.fd < 0, "the end closes the socket");
	child_forget_takes(&child);
	must(open_fds() == before, "no descriptor stays open");
	return 0;
}
