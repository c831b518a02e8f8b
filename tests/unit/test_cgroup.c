/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cgroup's files as the kernel writes them, here in an ordinary folder: what is read of them, what of it is said, and
 * what stays unknown. (How a cgroup comes to its end needs real ones: tests/component/pid1/test_services_cgroup.py.)
 */
/* links: init/config event init/lib */
#define CGROUP_ROOT "."
#include "init/process/cgroup.c"
#include "init/node/cgroup-node.c"

#include "init/lib/eventtext.h"
#include "loop_until.h"
#include "test.h"

static struct config_setting limit = {(char *)"memory.max", (char *)"64M", true};
static struct config_node nodes[] = {{.name = (char *)"app", .kind = NODE_SERVICE, .cgroup = &limit, .n_cgroup = 1},
				     {.name = (char *)"bare", .kind = NODE_SERVICE}};
static struct config plan = {.nodes = nodes, .n_nodes = 2};
static uint64_t wanted;
static char reason[NODE_REASON_MAX];

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	CHECK(file != NULL);
	fputs(text, file);
	fclose(file);
}

static bool said(void)
{
	return event_last() >= wanted;
}

static void gone(size_t node)
{
	(void)node;
}

/* The newest event's text and its fields, "|" between. */
static const char *newest(void)
{
	static char out[EVENT_RECORD_MAX];
	char record[EVENT_RECORD_MAX];
	uint64_t seq = event_last();
	struct event_view e;
	size_t size = event_read(&seq, record);

	if (size == 0 || event_view(&e, record, size) < 0)
		return "(none)";
	snprintf(out, sizeof(out), "%.*s|%.*s", (int)e.head.text_size, e.text, (int)e.head.fields_size, e.fields);
	return out;
}

static void start(void)
{
	char folder[] = "/tmp/cgroup-XXXXXX";

	CHECK(mkdtemp(folder) != NULL);
	CHECK_INT(chdir(folder), 0);
	CHECK_INT(mkdir("gantry", 0700), 0);
	CHECK_INT(mkdir("gantry/app", 0700), 0);
	put("gantry/cgroup.procs", "");
	put("gantry/app/memory.max", "");
	put("gantry/app/memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n");
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(100), 0);
	CHECK_INT(cgroup_node_init(&plan, 8, gone), 0);
}

TEST(a_cgroup_may_have_a_share_of_the_processes_that_all_may_have)
{
	start();
	find_pids_max();
	CHECK(strtoll(pids_max, NULL, 10) > 1);
	put("pids.max", "200\n");
	find_pids_max();
	CHECK_STR(pids_max, "31");
	put("pids.max", "max\n");
	find_pids_max();
	CHECK(strtoll(pids_max, NULL, 10) > 31);
}

static void run(size_t node)
{
	int fd = -1;

	CHECK_INT(cgroup_node_open(node, &fd, reason, sizeof(reason)), 0);
	CHECK(fd >= 0);
	close(fd);
	wanted = event_last() + 1;
}

TEST(a_kill_at_the_service_s_own_limit_is_told_with_that_limit)
{
	start();
	run(0);
	put("gantry/app/memory.max", "67108864\n");
	put("gantry/app/memory.events", "low 0\nhigh 0\nmax 41\noom 1\noom_kill 2\noom_group_kill 0\n");
	CHECK(loop_until(said));
	CHECK_STR(newest(), "killed by the kernel: out of memory (memory.max 64 MiB)|oom_kills=2");
	CHECK_INT(cgroup_node_oom_kills(0), 2);
	CHECK(cgroup_node_oom(0, reason, sizeof(reason)));
	CHECK_STR(reason, "killed by the kernel: out of memory (memory.max 64 MiB)");
}

TEST(a_kill_without_the_limit_hit_was_the_machine_s_want)
{
	start();
	run(0);
	put("gantry/app/memory.max", "67108864\n");
	put("gantry/app/memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\n");
	CHECK(loop_until(said));
	CHECK_STR(newest(), "killed by the kernel: out of memory (whole machine)|oom_kills=1");
}

TEST(a_kill_is_told_once_and_counted_over_all_runs)
{
	start();
	run(0);
	put("gantry/app/memory.events", "oom 1\noom_kill 1\n");
	CHECK(loop_until(said));
	put("gantry/app/memory.events", "max 9\noom 1\noom_kill 1\n");	/* the limit again, and nobody was killed */
	wanted = event_last() + 1;
	CHECK(!loop_until_ms(said, 1200));
	put("gantry/app/memory.events", "max 9\noom 2\noom_kill 4\n");
	CHECK(loop_until(said));
	CHECK_INT(cgroup_node_oom_kills(0), 4);
	CHECK(cgroup_node_clear(0, false));
	put("gantry/app/memory.events", "oom 0\noom_kill 0\n");
	run(0);
	CHECK(!cgroup_node_oom(0, reason, sizeof(reason)));
	put("gantry/app/memory.events", "oom 1\noom_kill 1\n");
	CHECK(loop_until(said));
	CHECK_INT(cgroup_node_oom_kills(0), 5);
}

TEST(a_kill_that_nothing_told_is_found_at_the_end)
{
	start();
	run(0);
	put("gantry/app/memory.events", "oom 1\noom_kill 1\n");
	CHECK(cgroup_node_clear(0, false));
	CHECK_INT(cgroup_node_oom_kills(0), 1);
	CHECK(cgroup_node_oom(0, reason, sizeof(reason)));
}

TEST(what_it_uses_is_read_and_what_is_not_counted_is_unknown)
{
	start();
	CHECK_INT(cgroup_node_usage(0)->memory_bytes, CGROUP_UNKNOWN);	/* it was not started */
	put("gantry/app/memory.current", "18446744073709551614\n");
	put("gantry/app/cpu.stat", "usage_usec 1234567\nuser_usec 1\nsystem_usec 2\n");
	put("gantry/app/pids.current", "3\n");
	run(0);
	CHECK_INT(cgroup_node_usage(0)->memory_bytes, UINT64_MAX - 1);
	CHECK_INT(cgroup_node_usage(0)->memory_peak_bytes, CGROUP_UNKNOWN);
	CHECK_INT(cgroup_node_usage(0)->cpu_us, 1234567);
	CHECK_INT(cgroup_node_usage(0)->processes, 3);
	put("gantry/app/pids.current", "9\n");	/* who asks again at once gets the same */
	CHECK_INT(cgroup_node_usage(0)->processes, 3);
	cgroup_node_clear(0, false);
	CHECK_INT(cgroup_node_usage(0)->processes, CGROUP_UNKNOWN);
}

TEST(without_cgroup2_a_service_runs_and_nothing_is_known)
{
	int fd = 7;

	start();
	present = false;
	CHECK_INT(cgroup_node_open(0, &fd, reason, sizeof(reason)), 0);
	CHECK_INT(fd, -1);
	CHECK_INT(cgroup_node_usage(0)->memory_bytes, CGROUP_UNKNOWN);
	CHECK(!cgroup_node_signal(0, SIGTERM));
	CHECK(!cgroup_node_kill(0));
	CHECK(cgroup_node_clear(0, false));
	CHECK_INT(cgroup_node_oom_kills(0), 0);
	cgroup_discard("action.1");
}

TEST(a_number_is_read_by_its_whole_key)
{
	CHECK_INT(number_of("oom_kill 7\noom 3\n", "oom"), 3);
	CHECK_INT(number_of("oom_kill 7\n", "oom"), CGROUP_UNKNOWN);
	CHECK_INT(number_of("max\n", ""), CGROUP_UNKNOWN);
	CHECK_INT(number_of("12", ""), 12);
	CHECK_INT(number_of("", ""), CGROUP_UNKNOWN);
	CHECK_INT(number_of("a b\n", "a"), CGROUP_UNKNOWN);
}

TEST(without_a_known_limit_the_service_runs_and_says_so)
{
	int fd = -1;

	start();
	CHECK_INT(unlink("gantry/app/memory.max"), 0);
	CHECK_INT(cgroup_node_open(0, &fd, reason, sizeof(reason)), 0);
	CHECK(fd >= 0);
	CHECK_STR(newest(), "cgroup memory.max: this kernel has no such limit, running without it|");
	close(fd);
	CHECK(cgroup_node_clear(0, false));
	limit.name = (char *)"memory.maks";
	limit.known = false;
	CHECK_INT(cgroup_node_open(0, &fd, reason, sizeof(reason)), -EINVAL);
	CHECK_STR(reason, "cgroup memory.maks: \"64M\" refused: No such file or directory");
	CHECK_INT(fd, -1);
}
