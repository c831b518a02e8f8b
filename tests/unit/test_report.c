/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stage side of the report socket, with the test as PID 1 at the other end: what is sent fits the protocol
 * whatever it is made of, and what comes back is checked before it is believed.
 */
/* links: stages/lib init/lib */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <gantry/event.h>
#include <gantry/report.h>

#include "stages/lib/backoff.h"
#include "stages/lib/report.h"
#include "stages/lib/secret.h"
#include "test.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int peer;

struct message {
	struct report_head head;
	char body[REPORT_BODY_MAX + 1];
	int fd;
	size_t size;	/* of the datagram */
};

static void connect_pair(void)
{
	int fds[2];

	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	peer = fcntl(fds[0], F_DUPFD, 20);
	CHECK_INT(dup2(fds[1], REPORT_FD), REPORT_FD);
	if (fds[0] != REPORT_FD)
		close(fds[0]);
	if (fds[1] != REPORT_FD)
		close(fds[1]);
}

/* The next message; it must be well-formed. */
static struct message next(void)
{
	struct message m = {.fd = -1};
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov[2] = {{&m.head, sizeof(m.head)}, {m.body, REPORT_BODY_MAX}};
	struct msghdr header = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control,
				.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(peer, &header, MSG_DONTWAIT);

	CHECK(n >= (ssize_t)sizeof(m.head));
	CHECK_INT(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC), 0);
	CHECK_INT(m.head.size, (size_t)n - sizeof(m.head));
	if (CMSG_FIRSTHDR(&header))
		memcpy(&m.fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(int));
	m.size = (size_t)n;
	return m;
}

/* Sends an answer; seals < 0: no descriptor. */
static void answer(unsigned kind, const char *name, const char *content, int seals, unsigned lie)
{
	struct report_head head = {.kind = (uint16_t)kind, .size = (uint32_t)strlen(name) + lie};
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)name, strlen(name)}};
	struct msghdr header = {.msg_iov = iov, .msg_iovlen = 2};
	int fd = -1;

	if (seals >= 0) {
		struct cmsghdr *c;

		fd = memfd_create("answer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		CHECK_INT(write(fd, content, strlen(content)), strlen(content));
		CHECK_INT(fcntl(fd, F_ADD_SEALS, seals), 0);
		header.msg_control = control;
		header.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&header);
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	CHECK(sendmsg(peer, &header, 0) > 0);
	if (fd >= 0)
		close(fd);
}

static void check_content(int fd, const char *expected)
{
	struct secret s = {0};

	CHECK_INT(secret_read(fd, 100, &s), 0);
	CHECK_STR((char *)s.bytes, expected);
	secret_wipe(&s);
	CHECK(!s.bytes);
	close(fd);
}

TEST(an_event_has_its_text_and_its_fields)
{
	const char *fields[] = {"a=1", "b=two words", NULL};
	struct message m;

	connect_pair();
	report_fields(EVENT_NOTICE, fields, "disk %d", 7);
	m = next();
	CHECK_INT(m.head.kind, REPORT_EVENT);
	CHECK_INT(m.head.level, EVENT_NOTICE);
	CHECK_INT(m.head.flags, 0);
	CHECK_INT(m.head.size, 6 + 1 + 4 + 12);
	CHECK_MEM(m.body, "disk 7\0a=1\0b=two words", 23);
	report_event(EVENT_ERROR, "%s", "");
	CHECK_INT(next().head.size, 0);
}

TEST(a_text_that_is_too_long_is_cut_at_a_whole_character)
{
	char text[4096];
	struct message m;

	connect_pair();
	memset(text, 'x', sizeof(text));
	memcpy(text + EVENT_TEXT_MAX - 1, "\xc3\xa4", 2);
	text[sizeof(text) - 1] = '\0';
	report_event(EVENT_INFO, "%s", text);
	m = next();
	CHECK_INT(m.head.size, EVENT_TEXT_MAX - 1);
	report_result("%s", text);
	CHECK_INT(next().head.size, EVENT_TEXT_MAX - 1);
	report_progress(1, 2, 3, 4, "%s", text);
	CHECK_INT(next().head.size, sizeof(struct report_progress) + EVENT_TEXT_MAX - 1);
}

TEST(each_message_of_facts_has_all_of_them_with_their_latest_values)
{
	struct message m;

	connect_pair();
	report_fact("device", "/dev/sd%c", 'a');
	m = next();
	CHECK_INT(m.head.kind, REPORT_FACTS);
	CHECK_MEM(m.body, "device=/dev/sda", 16);
	CHECK_INT(m.head.size, 16);
	report_fact("dev", "%d", 1);
	CHECK_INT(next().head.size, 22);
	report_fact("device", "%s", "");
	m = next();
	CHECK_INT(m.head.size, 14);
	CHECK_MEM(m.body, "dev=1\0device=", 14);
}

TEST(facts_that_no_longer_fit_are_left_out_whole)
{
	char value[500], key[24];
	struct message m = {.size = 0};

	connect_pair();
	memset(value, 'x', sizeof(value));
	memcpy(value + 199, "\xc3\xa4", 2);	/* a character that would be cut in two */
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		report_fact(key, "%s", value);
		m = next();
		CHECK_INT(m.head.size, (i + 1) * (5 + 199 + 1));
	}
	report_fact("more", "%s", value);
	report_fact("small", "%s", value + 400);
	m = next();
	CHECK_INT(m.head.size, 4 * 205 + 6 + 99 + 1);
	CHECK(memmem(m.body, m.head.size, "more", 4) == NULL);
	CHECK(m.head.size <= NODE_FACTS_MAX);
}

TEST(fields_that_do_not_fit_are_left_out_whole)
{
	char big[EVENT_FIELDS_MAX + 1], small[] = "a=1";
	const char *fields[] = {small, big, small, NULL};
	struct message m;

	connect_pair();
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	report_fields(EVENT_INFO, fields, "t");
	m = next();
	CHECK_INT(m.head.size, 1 + 1 + 4);
	CHECK_MEM(m.body, "t\0a=1", 6);
}

TEST(a_result_and_a_skip_differ_by_a_flag)
{
	connect_pair();
	CHECK(!report_has_result());
	report_result("done");
	CHECK(report_has_result());
	CHECK_INT(next().head.flags, 0);
	report_skipped("nothing to do");
	CHECK_INT(next().head.flags, REPORT_SKIPPED);
}

TEST(progress_carries_its_numbers)
{
	struct report_progress p;
	struct message m;

	connect_pair();
	report_progress(10, 20, 5, UINT32_MAX, "10 of 20");
	m = next();
	memcpy(&p, m.body, sizeof(p));
	CHECK_INT(m.head.kind, REPORT_PROGRESS);
	CHECK(p.done == 10 && p.total == 20 && p.per_second == 5 && p.eta_s == UINT32_MAX && p.reserved == 0);
	CHECK_STR(m.body + sizeof(p), "10 of 20");
}

TEST(what_is_given_can_never_be_changed)
{
	struct message m;
	struct stat st;

	connect_pair();
	CHECK_INT(report_give("config", "secret", 6), 0);
	m = next();
	CHECK_INT(m.head.kind, REPORT_GIVE);
	CHECK_MEM(m.body, "config", 6);
	CHECK(m.fd >= 0);
	CHECK_INT(fcntl(m.fd, F_GET_SEALS) & SEALS, SEALS);
	CHECK_INT(fstat(m.fd, &st), 0);
	CHECK_INT(st.st_mode & 0111, 0);
	CHECK(write(m.fd, "x", 1) < 0);
	check_content(m.fd, "secret");
	CHECK_INT(report_give("empty", NULL, 0), 0);
	close(next().fd);
}

TEST(what_does_not_fit_is_not_given)
{
	char name[ARTIFACT_NAME_MAX + 2];

	connect_pair();
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	CHECK_INT(report_give(name, "x", 1), -EINVAL);
	CHECK_INT(report_give("", "x", 1), -EINVAL);
	CHECK_INT(report_give("big", "x", ARTIFACT_SIZE_MAX + 1u), -EFBIG);
}

TEST(an_artifact_is_asked_for_once_and_taken_when_it_comes)
{
	int fd = -1;

	connect_pair();
	CHECK_INT(report_take("config", 0, &fd), -ETIMEDOUT);
	CHECK_INT(next().head.kind, REPORT_TAKE);
	CHECK_INT(report_take("config", 10, &fd), -ETIMEDOUT);
	answer(REPORT_TAKEN, "config", "bytes", SEALS, 0);
	CHECK_INT(report_take("config", 0, &fd), 0);
	check_content(fd, "bytes");
	answer(REPORT_ABSENT, "x", "", -1, 0);		/* one TAKE only was sent: nothing is left to be read as its answer */
	CHECK_INT(report_take("config", 0, &fd), -ETIMEDOUT);
	CHECK_INT(next().head.kind, REPORT_TAKE);
}

TEST(answers_may_come_in_another_order)
{
	int fd = -1;

	connect_pair();
	CHECK_INT(report_take("a", 0, &fd), -ETIMEDOUT);
	CHECK_INT(report_take("b", 0, &fd), -ETIMEDOUT);
	answer(REPORT_TAKEN, "b", "bb", SEALS, 0);
	answer(REPORT_ABSENT, "a", "", -1, 0);
	CHECK_INT(report_take("a", 0, &fd), -ENOENT);
	CHECK_INT(report_take("b", 0, &fd), 0);
	check_content(fd, "bb");
}

static void *answer_later(void *unused)
{
	time_wait_ms(20);
	answer(REPORT_TAKEN, "config", "late", SEALS, 0);
	return unused;
}

TEST(a_take_waits_for_its_answer)
{
	pthread_t thread;
	int fd = -1;

	connect_pair();
	CHECK_INT(pthread_create(&thread, NULL, answer_later, NULL), 0);
	CHECK_INT(report_take("config", -1, &fd), 0);
	check_content(fd, "late");
	pthread_join(thread, NULL);
}

static void check_bad_answer(unsigned kind, int seals, unsigned lie)
{
	int fd = -1;

	connect_pair();
	CHECK_INT(report_take("config", 0, &fd), -ETIMEDOUT);
	answer(kind, "config", "bytes", seals, lie);
	CHECK_INT(report_take("config", 0, &fd), -EBADMSG);
	CHECK_INT(fd, -1);
}

TEST(an_unsealed_artifact_is_refused) { check_bad_answer(REPORT_TAKEN, F_SEAL_GROW, 0); }
TEST(an_answer_without_its_descriptor_is_refused) { check_bad_answer(REPORT_TAKEN, -1, 0); }
TEST(an_absence_with_a_descriptor_is_refused) { check_bad_answer(REPORT_ABSENT, SEALS, 0); }
TEST(an_answer_of_another_kind_is_refused) { check_bad_answer(REPORT_GIVE, SEALS, 0); }
TEST(an_answer_whose_size_lies_is_refused) { check_bad_answer(REPORT_TAKEN, SEALS, 1); }

TEST(a_pid_1_that_is_gone_is_an_error_and_no_signal)
{
	int fd = -1;

	connect_pair();
	close(peer);
	report_event(EVENT_INFO, "anybody?");
	CHECK_INT(report_take("config", -1, &fd), -EPIPE);
	CHECK_INT(report_give("config", "x", 1), -EPIPE);
}

TEST(a_secret_is_bounded_and_has_a_nul_behind_it)
{
	struct secret s = {0}, t = {.size = 99};
	int fd = memfd_create("s", MFD_CLOEXEC);

	CHECK_INT(write(fd, "abc", 3), 3);
	CHECK_INT(secret_read(fd, 2, &t), -EFBIG);
	CHECK_INT(t.size, 99);
	CHECK_INT(secret_read(fd, 3, &s), 0);
	CHECK_INT(s.size, 3);
	CHECK_INT(s.bytes[3], 0);
	secret_wipe(&s);
	secret_wipe(&s);
	CHECK_INT(secret_copy("", 0, &s), 0);
	CHECK_INT(s.bytes[0], 0);
	secret_wipe(&s);
	close(fd);
}

/* The first byte of a secret, as a child has it. */
static int byte_of_child(const struct secret *s)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(s->bytes[0]);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

TEST(a_child_has_a_secret_only_if_it_is_shared)
{
	struct secret s = {0};

	CHECK_INT(secret_share(&s), 0);
	CHECK_INT(secret_copy("abc", 3, &s), 0);
	CHECK_INT(byte_of_child(&s), 0);
	CHECK_INT(s.bytes[0], 'a');
	CHECK_INT(secret_share(&s), 0);
	CHECK_INT(byte_of_child(&s), 'a');
	secret_wipe(&s);
}

TEST(a_backoff_doubles_to_its_cap_and_is_shortened_by_a_quarter_at_most)
{
	struct backoff b = {.minimum_ms = 1000, .maximum_ms = 15000};
	static const int64_t expected[] = {1000, 2000, 4000, 8000, 15000, 15000, 15000};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		int64_t wait = backoff_next_ms(&b);

		CHECK(wait <= expected[i] && wait >= expected[i] - expected[i] / 4);
	}
}
