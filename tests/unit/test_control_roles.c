/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control protocol on the connections that roles inherit: what each may do, acts and their descriptors, and what is
 * handed over unasked.
 */
/* links: control init/pid1/requests.c init/pid1/clock.c init/lib show event process */
#include "control_boot.h"

static void adopt(unsigned permissions)
{
	int pair[2];

	snprintf(path, sizeof(path), "/tmp/control-%d", getpid());
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(1000), 0);
	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	connection_requests(&requests);
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
	adopt(CONTROL_MAY_LAST_SHUTDOWN);
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
	int fd = memfd_sealed("list", "x", 1), n;

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
