/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs run to their end: what becomes of their output, their end and those that do not end. */
/* links: init/lib */
#include <fcntl.h>
#include <sys/stat.h>

#include "init/lib/run.h"
#include "test.h"

#define SECOND_NS 1000000000LL

static char said[4096];
static unsigned lines, ticks;

static void take(void *with, const char *line)
{
	(void)with;
	lines++;
	if (strlen(said) + strlen(line) + 2 < sizeof(said)) {
		strcat(said, line);
		strcat(said, "|");
	}
}

static void tick(void *with, pid_t pid)
{
	(void)with;
	CHECK_INT(kill(pid, 0), 0);
	ticks++;
}

static int shell(const char *script, struct run run)
{
	char *const words[] = {"/bin/sh", "-c", (char *)script, NULL};
	static char *const environment[] = {"PATH=/usr/bin:/bin", NULL};

	said[0] = '\0';
	lines = ticks = 0;
	run.words = words;
	run.environment = environment;
	run.line = take;
	return run_program(&run);
}

TEST(both_outputs_come_line_by_line_and_the_last_one_needs_no_newline)
{
	CHECK_INT(shell("echo a; echo b >&2; echo; printf c", (struct run){0}), 0);
	CHECK_STR(said, "a|b|c|");
}

TEST(an_exit_status_and_a_signal_are_told_apart)
{
	CHECK_INT(shell("exit 75", (struct run){0}), 75);
	CHECK_INT(shell("exit 255", (struct run){0}), 255);
	CHECK_INT(shell("kill -9 $$", (struct run){0}), RUN_KILLED + SIGKILL);
}

TEST(a_program_that_is_not_there_is_a_status_and_a_line)
{
	char *const words[] = {"/nonexistent", NULL};
	const struct run run = {.words = words, .line = take};

	CHECK_INT(run_program(&run), RUN_NOT_EXECUTED);
	CHECK_STR(said, "/nonexistent: No such file or directory|");
}

TEST(a_long_line_is_cut)
{
	CHECK_INT(shell("head -c 5000 /dev/zero | tr '\\0' x; echo; echo y", (struct run){0}), 0);
	CHECK_INT(strlen(said), RUN_LINE_MAX - 1 + 1 + 2);
	CHECK_INT(lines, 2);
}

TEST(input_is_what_was_given_or_nothing)
{
	CHECK_INT(shell("cat", (struct run){.input = "hello\n", .input_size = 6}), 0);
	CHECK_STR(said, "hello|");
	CHECK_INT(shell("cat; readlink /proc/self/fd/0", (struct run){0}), 0);
	CHECK_STR(said, "/dev/null|");
}

/* Its whole group: the sleep would keep the pipe open. */
TEST(a_deadline_ends_the_program_and_all_of_its_group)
{
	int64_t start = run_now_ns();

	CHECK_INT(shell("echo $$; sleep 600 & wait", (struct run){.deadline_ns = start + SECOND_NS / 5}), -ETIMEDOUT);
	CHECK(run_now_ns() - start < 10 * SECOND_NS);
	CHECK(atoi(said) > 1);
	for (int i = 0; i < 200 && kill(-atoi(said), 0) == 0; i++)
		usleep(10000);
	CHECK(kill(-atoi(said), 0) < 0 && errno == ESRCH);
}

TEST(a_program_that_prints_for_ever_meets_its_deadline)
{
	int64_t start = run_now_ns();

	CHECK_INT(shell("yes", (struct run){.deadline_ns = start + SECOND_NS / 5}), -ETIMEDOUT);
	CHECK(lines > 0);
	CHECK(run_now_ns() - start < 10 * SECOND_NS);
}

TEST(something_left_running_that_prints_for_ever_is_not_waited_for)
{
	int64_t start = run_now_ns();

	/* The deadline gives it a group, by which the test ends it. */
	CHECK_INT(shell("echo $$; yes & exit 3", (struct run){.deadline_ns = start + 600 * SECOND_NS}), 3);
	CHECK(run_now_ns() - start < 10 * SECOND_NS);
	CHECK(atoi(said) > 1);
	kill(-atoi(said), SIGKILL);
}

TEST(it_ticks_while_the_program_runs)
{
	CHECK_INT(shell("sleep 0.3", (struct run){.tick = tick, .tick_ns = SECOND_NS / 20}), 0);
	CHECK(ticks > 0);
}

static const char *prepare(void *with)
{
	if (!with) {
		errno = EPERM;
		return "permission";
	}
	umask(0123);
	return NULL;
}

TEST(what_is_prepared_holds_for_the_program_and_a_failure_is_its_line)
{
	CHECK_INT(shell("umask", (struct run){.prepare = prepare, .with = said}), 0);
	CHECK_STR(said, "0123|");
	CHECK_INT(shell("umask", (struct run){.prepare = prepare}), RUN_NOT_EXECUTED);
	CHECK_STR(said, "permission: Operation not permitted|");
}

/* Signals that the caller ignores are not ignored by the program. */
TEST(a_broken_pipe_ends_the_program)
{
	signal(SIGPIPE, SIG_IGN);
	CHECK_INT(shell("grep SigIgn /proc/self/status", (struct run){0}), 0);
	CHECK_INT(strtoull(said + strlen("SigIgn:"), NULL, 16) >> (SIGPIPE - 1) & 1, 0);
}

TEST(it_ends_with_its_caller)
{
	char script[64], byte;
	int ends[2];
	pid_t caller;

	CHECK_INT(pipe(ends), 0);
	snprintf(script, sizeof(script), "echo >&%d; exec sleep 600", ends[1]);
	caller = fork();
	if (caller == 0) {
		close(ends[0]);
		shell(script, (struct run){0});
		_exit(0);
	}
	close(ends[1]);
	CHECK_INT(read(ends[0], &byte, 1), 1);	/* it runs */
	kill(caller, SIGKILL);
	waitpid(caller, NULL, 0);
	while (read(ends[0], &byte, 1) > 0)	/* until the last copy of the other end is closed */
		;
}
