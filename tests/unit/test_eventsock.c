/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event socket: a datagram is an event of whoever the kernel says sent it, and a flood is taken in turns.
 */
/* links: event init/lib */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "init/event/eventjson.h"
#include "init/event/eventsock.h"
#include "init/event/sender.h"
#include "event_lines.h"

static char path[64];
static const char *node = "rbuilder";
static int asked_pid;
static int sender = -1;

static const char *whose_pid(int pid)
{
	asked_pid = pid;
	return node;
}

static ssize_t post(const void *bytes, size_t size)
{
	return send(sender, bytes, size, 0);
}

static void start(void)
{
	snprintf(path, sizeof(path), "/tmp/events-%d", getpid());
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(2000), 0);
	CHECK_INT(eventsock_init(path, whose_pid), 0);
}

/* Names the socket once: connected senders need no path any more. */
static void start_connected(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	start();
	node = "svc";
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	CHECK_INT(connect(sender, (struct sockaddr *)&address, sizeof(address)), 0);
	unlink(path);
}

TEST(everybody_may_write_to_the_socket)
{
	struct stat st;

	start();
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode, S_IFSOCK | 0666);
	unlink(path);
}

TEST(a_datagram_is_an_event_of_its_sender)
{
	start_connected();
	node = "rbuilder";
	CHECK_INT(post("block built\n", 12), 12);
	CHECK(events_come(1));
	CHECK_STR(line_of(1), "info rbuilder message: block built\n");
	CHECK_INT(asked_pid, getpid());
	node = NULL;
	CHECK_INT(post("from nowhere", 12), 12);
	CHECK(events_come(2));
	CHECK(strncmp(line_of(2), "info pid-", 9) == 0);
}

TEST(a_syslog_level_in_front_is_understood)
{
	start_connected();
	post("<3>broken", 9);
	post("<4>slow", 7);
	post("<9>not a level", 14);
	post("<3", 2);
	post("", 0);
	CHECK(events_come(5));
	CHECK_STR(line_of(1), "error svc message: broken\n");
	CHECK_STR(line_of(2), "warning svc message: slow\n");
	CHECK_STR(line_of(3), "info svc message: <9>not a level\n");
	CHECK_STR(line_of(4), "info svc message: <3\n");
	CHECK_STR(line_of(5), "info svc message: \n");
}

TEST(an_object_sets_level_and_fields_and_what_is_none_is_text)
{
	char room[EVENTJSON_MAX + 100];

	start_connected();
	post("{\"message\":\"slow\",\"level\":\"warning\",\"fields\":{\"lun\":10,\"why\":\"a b\"}}\n", 69);
	post("{\"message\":\"slow\",\"source\":\"disk\"}", 35);
	memset(room, ' ', sizeof(room));
	memcpy(room, "{\"message\":\"one byte too long\"}", 31);
	post(room, EVENTJSON_MAX + 1);
	post(room, EVENTJSON_MAX);
	CHECK(events_come(4));
	CHECK_STR(line_of(1), "warning svc message: slow lun=10 why=\"a b\"\n");
	CHECK_STR(line_of(2), "info svc message: {\"message\":\"slow\",\"source\":\"disk\"}\n");
	CHECK(strncmp(line_of(3), "info svc message: {\"message\":\"one byte too long\"} ", 50) == 0);
	CHECK_STR(line_of(4), "info svc message: one byte too long\n");
}

/* Whether the kernel refuses descriptors for the socket, as since Linux 6.16. From here on it does not. */
static bool take_rights(void)
{
	for (int fd = 3; fd < 100; fd++) {
		struct sockaddr_un address = {0};
		socklen_t size = sizeof(address);

		if (getsockname(fd, (struct sockaddr *)&address, &size) == 0 && !strcmp(address.sun_path, path))
			return setsockopt(fd, SOL_SOCKET, 83 /* SO_PASSRIGHTS */, &(int){1}, sizeof(int)) == 0;
	}
	CHECK(false);
	return false;
}

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static int before;

static bool as_before(void)
{
	return next_fd() == before;
}

TEST(descriptors_that_come_along_are_not_kept)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {"with a descriptor", 17};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	ssize_t n;
	int zero = 0;

	start_connected();
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &zero, sizeof(int));
	before = next_fd();
	n = sendmsg(sender, &message, 0);
	if (take_rights()) {
		CHECK_INT(n, -1);
		n = sendmsg(sender, &message, 0);
	}
	CHECK_INT(n, 17);
	CHECK(events_come(1));
	CHECK(loop_until(as_before));
}

static struct loop_timer soon;
static bool soon_fired;

static void fire(struct loop_timer *timer)
{
	(void)timer;
	soon_fired = true;
}

static bool flooded(void)
{
	char text[32];

	for (int i = 0; i < 100; i++)
		post(text, (size_t)snprintf(text, sizeof(text), "flood"));
	return soon_fired;
}

TEST(a_flood_does_not_starve_the_loop)
{
	start_connected();
	soon.fire = fire;
	loop_arm(&soon, loop_now_ns() + 100000000);
	CHECK(loop_until(flooded));
	CHECK(event_last() > 1000);
}

TEST(a_flood_of_one_sender_is_dropped_and_another_is_still_heard)
{
	start_connected();
	sender_limit(10, 100);
	for (int i = 0; i < 2000; i++) {
		while (post("{\"message\":\"flood\"}", 19) < 0 && errno == EAGAIN)
			loop_until_ms(NULL, 1);
	}
	loop_until_ms(NULL, 20);
	CHECK(event_last() >= 100 && event_last() < 150);
	CHECK_INT(event_drops(), 2000 - event_last());
	node = "other";
	wanted = event_last() + 1;
	post("one word", 8);
	CHECK(events_come(wanted));
	CHECK_STR(line_of(wanted), "info other message: one word\n");
}

TEST(a_flood_of_one_user_without_a_service_leaves_another_user_his_say)
{
	if (geteuid() != 0)
		SKIP("only root becomes another user");
	start_connected();
	node = NULL;
	sender_limit(10, 100);
	for (int i = 0; i < 300; i++) {
		while (post("{\"message\":\"flood\"}", 19) < 0 && errno == EAGAIN)
			loop_until_ms(NULL, 1);
	}
	loop_until_ms(NULL, 20);
	CHECK(event_drops() > 100);
	wanted = event_last() + 1;
	if (fork() == 0) {
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		post("another user", 12);
		_exit(0);
	}
	CHECK(events_come(wanted));
	CHECK(strstr(line_of(wanted), "another user"));
}

TEST(what_is_in_the_queue_is_read_before_a_process_is_reaped)
{
	start_connected();
	for (int i = 0; i < 200; i++)
		CHECK_INT(post("last words", 10), 10);
	eventsock_drain();
	CHECK_INT(event_last(), 200);
	eventsock_drain();
	CHECK_INT(event_last(), 200);
}

TEST(ten_thousand_datagrams_are_ten_thousand_events)
{
	start_connected();
	for (int i = 0; i < 10000; i++) {
		char text[32];
		size_t n = (size_t)snprintf(text, sizeof(text), "event %d", i);

		while (post(text, n) < 0 && (errno == EAGAIN || errno == ENOBUFS))
			if (!events_come(event_last() + 1))
				break;
	}
	CHECK(events_come(10000));
	CHECK_STR(line_of(10000), "info svc message: event 9999\n");
}
