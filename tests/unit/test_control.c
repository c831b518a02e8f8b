/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket with real peers in the same process: who may do what, cursors that survive slow readers, and
 * requests that are not of this protocol.
 */
/* links: control init/pid1/requests.c init/pid1/clock.c init/lib show event process ctl */
#include "control_boot.h"

#include "init/ctl/screen.h"

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
	screen_status(&chart, &status);
	screen_chart(&chart, &status, 80);
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
	struct control_certificate good = {.end_s = 1800000000};
	static const struct {
		size_t at;
		char with;
	} wrong[] = {{0, 'A'}, {63, 'g'}, {31, ' '}, {63, '\0'}};

	start();
	memset(good.sha256, 'a', sizeof(good.sha256));
	CHECK_INT(client_request(client, CONTROL_CERTIFICATE, 0, 0, (const char *)&good, sizeof(good)), 0);
	CHECK_INT(next_kind(), CONTROL_END);
	CHECK_INT(message.head.argument, 0);
	CHECK(strcmp(called, "certificate ") > 0 && strlen(called) == 12 + 64 + 17);
	CHECK_STR(called + 12 + 64, " until 1800000000");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct control_certificate bad = good;

		called[0] = '\0';
		bad.sha256[wrong[i].at] = wrong[i].with;
		CHECK_INT(client_request(client, CONTROL_CERTIFICATE, 0, 0, (const char *)&bad, sizeof(bad)), 0);
		CHECK_INT(next_kind(), CONTROL_END);
		CHECK_INT(message.head.argument, -EBADMSG);
		CHECK_STR(called, "");
	}
	CHECK_INT(client_request(client, CONTROL_CERTIFICATE, 0, 0, (const char *)&good, sizeof(good) - 1), 0);
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
