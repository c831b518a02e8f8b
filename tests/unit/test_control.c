/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket with real peers in the same process: who may do what, cursors that survive slow readers, and
 * requests that are not of this protocol.
 */
/* links: init/control.c init/client.c init/status.c init/status-json.c init/event.c init/ring.c init/utf8.c init/eventtext.c init/text.c init/loop.c init/processes.c init/procfs.c */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../init/act.h"
#include "../../init/boot.h"
#include "../../init/client.h"
#include "../../init/console.h"
#include "../../init/control.h"
#include "../../init/event.h"
#include "../../init/eventtext.h"
#include "../../init/status.h"
#include "loop_until.h"
#include "test.h"

#define API_UID  12345
#define NODES    200

static char path[64], called[600];
static const char *node_of_pid;
static struct control_message message;
static int client = -1, received;

void console_direct(const void *record, size_t size)
{
	(void)record;
	(void)size;
}

const char *boot_node_of_pid(int pid)
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

bool boot_refresh_status(struct control_refresh *ret)
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

void boot_certificate(const char *sha256)
{
	snprintf(called, sizeof(called), "certificate %s", sha256);
}

int boot_refresh(void)
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

void boot_shutdown(enum shutdown_kind kind, const char *by, const char *reason)
{
	snprintf(called, sizeof(called), "shutdown %d %s %s", kind, by, reason);
}

/* The acts; a descriptor that came along is theirs. */
static int act_fd = -1;

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

static void start(void)
{
	snprintf(path, sizeof(path), "/tmp/control-%d", getpid());
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(1000), 0);
	CHECK_INT(control_init(path, API_UID), 0);
	client = client_connect(path);
	CHECK(client >= 0);
	fcntl(client, F_SETFL, O_NONBLOCK);
}

static bool answer_is_there(void)
{
	received = client_receive(client, &message);
	return received != -EAGAIN;
}

/* The next message's kind; 0: end of file; -1: nothing came. */
static int next_kind(void)
{
	received = -EAGAIN;
	if (!loop_until(answer_is_there))
		return -1;
	return received <= 0 ? received : message.head.kind;
}

static void request(enum control_kind kind, unsigned flags, int64_t argument, const char *body)
{
	CHECK_INT(client_request(client, kind, flags, argument, body, strlen(body)), 0);
}

static uint64_t message_seq(void)
{
	struct event_view e;

	return event_view(&e, message.body, message.head.size) == 0 ? e.head.seq : 0;
}

static const char *line_of(uint64_t seq)
{
	static char out[EVENT_LINE_MAX];
	char record[EVENT_RECORD_MAX];
	struct text t = {.bytes = out, .room = sizeof(out) - 1};
	struct event_view e;
	size_t size = event_read(&seq, record);

	if (size == 0 || event_view(&e, record, size) < 0)
		return "(none)";
	event_console_line(&t, &e);
	out[t.size] = '\0';
	return strchr(out, ']') + 2;
}

TEST(past_events_are_sent_once_and_then_the_end)
{
	start();
	for (int i = 0; i < 300; i++)
		event_say(EVENT_INFO, "test", "event %d", i);
	request(CONTROL_EVENTS, 0, 0, "");
	for (uint64_t i = 1; i <= 300; i++) {
		CHECK_INT(next_kind(), CONTROL_EVENT);
		CHECK_INT(message_seq(), i);
	}
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, 0);
	request(CONTROL_EVENTS, 0, 299, "");
	CHECK_INT(next_kind(), CONTROL_EVENT);
	CHECK_INT(message_seq(), 299);
	CHECK_INT(next_kind(), CONTROL_EVENT);
	CHECK_INT(next_kind(), CONTROL_END);
	unlink(path);
}

TEST(a_follower_gets_what_was_and_what_comes)
{
	start();
	event_say(EVENT_INFO, "test", "before");
	request(CONTROL_EVENTS, CONTROL_FOLLOW, 0, "");
	CHECK_INT(next_kind(), CONTROL_RING);
	CHECK_INT(message.head.argument, 1000);
	CHECK_INT(next_kind(), CONTROL_EVENT);
	CHECK_INT(message_seq(), 1);
	event_say(EVENT_INFO, "test", "after");
	CHECK_INT(next_kind(), CONTROL_EVENT);
	CHECK_INT(message_seq(), 2);
	unlink(path);
}

TEST(a_slow_follower_is_told_how_many_it_lost)
{
	uint64_t expected = 1, gaps = 0;

	start();
	request(CONTROL_EVENTS, CONTROL_FOLLOW, 0, "");
	loop_until_ms(NULL, 20);
	for (int i = 0; i < 5000; i++) {
		event_say(EVENT_INFO, "test", "event %d with some words so that it has a size", i);
		if (i % 100 == 0)
			loop_until_ms(NULL, 1);
	}
	CHECK_INT(next_kind(), CONTROL_RING);
	while (expected <= 5000) {
		int kind = next_kind();

		if (kind == CONTROL_GAP) {
			gaps++;
			expected += (uint64_t)message.head.argument;
			continue;
		}
		CHECK_INT(kind, CONTROL_EVENT);
		CHECK_INT(message_seq(), expected);
		expected++;
	}
	CHECK_INT(gaps, 1);
	unlink(path);
}

TEST(the_status_has_every_node_even_if_the_socket_takes_few_at_a_time)
{
	static struct status status;
	struct text t = TEXT_GROWING(STATUS_JSON_MAX), chart = TEXT_GROWING(STATUS_JSON_MAX);
	int kind, small = 4096;

	start();
	refreshes = true;
	setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	request(CONTROL_STATUS, 0, 0, "");
	while ((kind = next_kind()) > 0 && kind != CONTROL_END)
		CHECK_INT(status_take(&status, message.head.kind, message.body, message.head.size), 0);
	CHECK_INT(kind, CONTROL_END);
	CHECK(status.refreshes);
	CHECK_INT(status.refresh.success_ns, 1000000000);
	CHECK_INT(status.n_nodes, NODES);
	CHECK_STR(status.nodes[199].name, "node-199");
	for (size_t i = 0; i < NODES; i++)
		CHECK_INT(status.facts[i].size, i % 3 == 0 ? 29 : 0);
	CHECK_INT(strlen(status.nodes[0].reason), NODE_REASON_MAX - 1);
	status_json(&t, &status);
	text_add(&t, "", 1);
	CHECK(strncmp(t.bytes, "{\"boot\":{\"state\":\"booted\",\"reason\":\"\",\"hostname\":\"h\"", 50) == 0);
	CHECK(strstr(t.bytes, "\"name\":\"node-198\",\"type\":\"exec\",\"state\":\"done\"") != NULL);
	status_table(&chart, &status);
	status_chart(&chart, &status, 80);
	text_add(&chart, "", 1);
	CHECK(strstr(chart.bytes, "2.50 s done\n") != NULL);
	free(t.bytes);
	free(chart.bytes);
	unlink(path);
}

TEST(actions_reach_the_boot_and_their_result_comes_back)
{
	start();
	request(CONTROL_START, 0, 0, "reth");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, 0);
	CHECK_STR(called, "start reth");
	request(CONTROL_START, 0, 0, "nothing");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -ENOENT);
	CHECK_STR(message.body, "no such stage or service");
	request(CONTROL_RESTART, 0, 0, "reth");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EALREADY);
	request(CONTROL_REBOOT, 0, 0, "new image");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_STR(called, "shutdown 1 gantryctl new image");
	node_of_pid = "ssh";
	request(CONTROL_POWEROFF, 0, 0, "");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_STR(called, "shutdown 0 ssh ");
	unlink(path);
}

TEST(a_certificate_is_64_hex_digits_from_who_may_post)
{
	char hex[65] = "";
	static const struct {
		size_t at;
		char with;
	} wrong[] = {{0, 'A'}, {63, 'g'}, {31, ' '}, {63, '\0'}};

	start();
	memset(hex, 'a', 64);
	request(CONTROL_CERTIFICATE, 0, 0, hex);
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, 0);
	CHECK(strcmp(called, "certificate ") > 0 && strlen(called) == 12 + 64);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		char bad[65];

		called[0] = '\0';
		memcpy(bad, hex, sizeof(bad));
		bad[wrong[i].at] = wrong[i].with;
		CHECK_INT(client_request(client, CONTROL_CERTIFICATE, 0, 0, bad, 64), 0);
		CHECK_INT(next_kind(), CONTROL_END);
		CHECK_INT(message.head.argument, -EBADMSG);
		CHECK_STR(called, "");
	}
	CHECK_INT(client_request(client, CONTROL_CERTIFICATE, 0, 0, hex, 63), 0);
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EBADMSG);
	unlink(path);
}

TEST(a_request_is_done_even_if_its_sender_is_gone)
{
	start();
	request(CONTROL_POWEROFF, 0, 0, "bye");
	close(client);
	loop_until_ms(NULL, 50);
	CHECK_STR(called, "shutdown 0 gantryctl bye");
	unlink(path);
}

TEST(posted_events_carry_the_poster_and_no_claims)
{
	char body[] = "hello\0key=value";

	start();
	CHECK_INT(client_request(client, CONTROL_POST, CONTROL_OUTSIDE, EVENT_WARNING, body, sizeof(body)), 0);
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_STR(line_of(1), "warning gantryctl message: hello key=value\n");
	node_of_pid = "ssh";
	request(CONTROL_POST, 0, EVENT_INFO, "x\ny");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_STR(line_of(2), "info ssh message: x y\n");
	request(CONTROL_POST, 0, EVENT_LEVEL_MAX, "x");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EINVAL);
	CHECK_INT(event_last(), 2);
	unlink(path);
}

static void adopt(unsigned permissions)
{
	int pair[2];

	snprintf(path, sizeof(path), "/tmp/control-%d", getpid());
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(1000), 0);
	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	CHECK_INT(control_adopt(pair[0], permissions, "api", "api"), 0);
	client = pair[1];
	fcntl(client, F_SETFL, O_NONBLOCK);
}

TEST(an_adopted_follower_sees_its_own_event_before_the_end_of_the_request)
{
	adopt(CONTROL_MAY_READ | CONTROL_MAY_POST);
	request(CONTROL_EVENTS, CONTROL_FOLLOW, 0, "");
	request(CONTROL_POST, CONTROL_OUTSIDE, EVENT_INFO, "from a client");
	CHECK_INT(next_kind(), CONTROL_RING);
	CHECK_INT(next_kind(), CONTROL_EVENT);
	CHECK_STR(line_of(1), "info http message: from a client\n");
	CHECK_INT(next_kind(), CONTROL_END);
	request(CONTROL_POST, 0, EVENT_INFO, "own");
	CHECK_INT(next_kind(), CONTROL_EVENT);
	CHECK_STR(line_of(2), "info api message: own\n");
	CHECK_INT(next_kind(), CONTROL_END);
	request(CONTROL_STATUS, 0, 0, "");
	CHECK_INT(next_kind(), CONTROL_BOOT);
}

TEST(how_the_last_boot_ended_is_told_by_whom_it_was_given_to)
{
	adopt(CONTROL_MAY_READ | CONTROL_MAY_POST | CONTROL_MAY_CONTROL | CONTROL_MAY_ACT);
	request(CONTROL_LAST_SHUTDOWN, 0, 0, "in_order=true");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(last_shutdowns, 0);
	adopt(CONTROL_MAY_TELL);
	request(CONTROL_LAST_SHUTDOWN, 0, 0, "in_order=true");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(last_shutdowns, 1);
}

TEST(a_role_may_only_what_it_was_given)
{
	adopt(CONTROL_MAY_READ);
	request(CONTROL_POST, 0, EVENT_INFO, "x");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EPERM);
	request(CONTROL_REBOOT, 0, 0, "");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EPERM);
	request(CONTROL_CERTIFICATE, 0, 0, "0123456789012345678901234567890123456789012345678901234567890123");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EPERM);
	CHECK_STR(called, "");
}

static void request_with(enum control_kind kind, const char *body, int fd)
{
	struct control_head head = {.kind = kind, .size = (uint32_t)strlen(body)};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)body, strlen(body)}};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control.bytes,
			   .msg_controllen = sizeof(control.bytes)};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	CHECK(sendmsg(client, &m, 0) > 0);
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

TEST(an_act_is_answered_with_its_id_or_why_not)
{
	adopt(CONTROL_MAY_ACT);
	request(CONTROL_ACTION, 0, 0, "reboot");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, 7);
	CHECK_STR(called, "action reboot");
	request(CONTROL_ACTION, 0, 0, "format");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -ENOENT);
	request(CONTROL_PASSWORD, 0, 0, "0123");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EBUSY);
	CHECK_STR(called, "password 0123");
}

TEST(an_act_gets_the_descriptor_and_no_descriptor_is_kept)
{
	int fd = open("/dev/null", O_RDONLY), n;

	adopt(CONTROL_MAY_ACT);
	n = open_descriptors();
	request_with(CONTROL_UPLOAD, "list", fd);
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, 8);
	CHECK(act_fd > 2 && fcntl(act_fd, F_GETFD) == FD_CLOEXEC);
	close(act_fd);
	request_with(CONTROL_ACTION, "reboot", fd);	/* takes none */
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EBADMSG);
	request(CONTROL_UPLOAD, 0, 0, "list");		/* needs one */
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EBADMSG);
	request_with(CONTROL_POST, "x", fd);
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EPERM);
	CHECK_INT(open_descriptors(), n);
}

TEST(only_the_api_acts)
{
	adopt(CONTROL_MAY_READ | CONTROL_MAY_POST | CONTROL_MAY_CONTROL);
	request(CONTROL_ACTION, 0, 0, "reboot");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EPERM);
	CHECK_STR(called, "");
}

static int handed(void)
{
	struct control_head head;
	struct iovec iov = {&head, sizeof(head)};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {{0}};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			   .msg_controllen = sizeof(control.bytes)};
	int fd;

	loop_until_ms(NULL, 20);
	if (recvmsg(client, &m, MSG_DONTWAIT) != sizeof(head) || head.kind != CONTROL_HAND)
		return -1;
	CHECK_INT(control.head.cmsg_len, CMSG_LEN(sizeof(int)));
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(int));
	received = (int)head.argument;
	return fd;
}

TEST(what_is_handed_over_arrives_once_and_the_newest_counts)
{
	int one, two, fd, n;
	struct stat a, b;

	adopt(CONTROL_MAY_READ);
	n = open_descriptors();
	one = open("/dev/null", O_RDONLY);
	two = open("/dev/zero", O_RDONLY);
	CHECK_INT(fstat(two, &b), 0);
	control_hand("api", HAND_PASSWORD, one);
	control_hand("api", HAND_PASSWORD, two);
	fd = handed();
	CHECK(fd >= 0 && fstat(fd, &a) == 0 && a.st_rdev == b.st_rdev);
	CHECK_INT(received, HAND_PASSWORD);
	close(fd);
	CHECK_INT(handed(), -1);
	control_hand("nobody", HAND_PEER, open("/dev/null", O_RDONLY));
	CHECK_INT(open_descriptors(), n);
	control_hand("api", HAND_PEER, open("/dev/null", O_RDONLY));
	close(client);
	loop_until_ms(NULL, 20);
	CHECK_INT(open_descriptors(), n - 2);
}

TEST(another_user_is_refused_and_the_api_user_may_read)
{
	start();
	close(client);
	CHECK_INT(seteuid(4711), 0);
	client = client_connect(path);
	CHECK_INT(seteuid(0), 0);
	fcntl(client, F_SETFL, O_NONBLOCK);
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EPERM);
	CHECK_INT(next_kind(), 0);
	close(client);

	CHECK_INT(seteuid(API_UID), 0);
	client = client_connect(path);
	CHECK_INT(seteuid(0), 0);
	fcntl(client, F_SETFL, O_NONBLOCK);
	event_say(EVENT_INFO, "test", "x");
	request(CONTROL_EVENTS, 0, 0, "");
	CHECK_INT(next_kind(), CONTROL_EVENT);
	CHECK_INT(next_kind(), CONTROL_END);
	request(CONTROL_STOP, 0, 0, "reth");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EPERM);
	CHECK_STR(called, "");
	unlink(path);
}

TEST(malformed_requests_are_answered_and_counted)
{
	static char big[CONTROL_DATAGRAM_MAX + 100];
	struct control_head head = {.kind = CONTROL_STATUS, .size = 5};

	start();
	CHECK_INT(send(client, "x", 1, 0), 1);
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EBADMSG);
	CHECK_INT(send(client, &head, sizeof(head), 0), sizeof(head));
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EBADMSG);
	head.size = sizeof(big) - sizeof(head);
	memcpy(big, &head, sizeof(head));
	CHECK_INT(send(client, big, sizeof(big), 0), sizeof(big));
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EBADMSG);
	request(CONTROL_END, 0, 0, "");
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EBADMSG);
	CHECK_INT(client_request(client, CONTROL_START, 0, 0, "re\0th", 5), 0);
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, -EBADMSG);
	CHECK_INT(event_drops(), 3);
	request(CONTROL_STATUS, 0, 0, "");
	CHECK_INT(next_kind(), CONTROL_BOOT);
	unlink(path);
}

TEST(many_idle_connections_do_not_lock_anybody_out)
{
	int idle[100];

	start();
	close(client);
	for (int i = 0; i < 100; i++) {
		idle[i] = client_connect(path);
		CHECK(idle[i] >= 0);
		if (i % 10 == 9)
			loop_until_ms(NULL, 5);
	}
	client = client_connect(path);
	fcntl(client, F_SETFL, O_NONBLOCK);
	request(CONTROL_STATUS, 0, 0, "");
	CHECK_INT(next_kind(), CONTROL_BOOT);
	for (int i = 0; i < 100; i++)
		close(idle[i]);
	unlink(path);
}

TEST(no_free_descriptor_is_waited_out)
{
	struct rlimit limit, before;
	int top;

	start();
	request(CONTROL_STATUS, 0, 0, "");
	CHECK_INT(next_kind(), CONTROL_BOOT);
	close(client);
	client = client_connect(path);
	fcntl(client, F_SETFL, O_NONBLOCK);
	top = dup(client);
	close(top);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = (struct rlimit){(rlim_t)client, before.rlim_max};	/* below any free number */
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	loop_until_ms(NULL, 100);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
	CHECK(event_drops() >= 1);
	CHECK(event_drops() < 5);
	request(CONTROL_STATUS, 0, 0, "");
	CHECK_INT(next_kind(), CONTROL_BOOT);
	unlink(path);
}

TEST(at_the_end_followers_get_everything_and_then_the_end_of_file)
{
	uint64_t last = 0;
	int kind;

	start();
	request(CONTROL_EVENTS, CONTROL_FOLLOW, 0, "");
	loop_until_ms(NULL, 20);
	for (int i = 0; i < 900; i++)
		event_say(EVENT_INFO, "test", "event %d with some words so that it has a size", i);
	control_close_subscribers();
	CHECK(control_draining());
	event_say(EVENT_INFO, "test", "too late");
	CHECK_INT(next_kind(), CONTROL_RING);
	while ((kind = next_kind()) == CONTROL_EVENT)
		last = message_seq();
	CHECK_INT(kind, 0);
	CHECK_INT(last, 900);
	CHECK(!control_draining());
	close(client);
	client = client_connect(path);
	fcntl(client, F_SETFL, O_NONBLOCK);
	request(CONTROL_EVENTS, CONTROL_FOLLOW, 901, "");	/* a logger that was just being started */
	CHECK_INT(next_kind(), CONTROL_RING);
	CHECK_INT(next_kind(), CONTROL_EVENT);
	CHECK_INT(message_seq(), 901);
	CHECK_INT(next_kind(), 0);
	unlink(path);
}
