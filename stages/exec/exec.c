/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `exec`: a program as a stage, for images that need one more step. Its lines become this stage's events, its
 * exit status means what a stage's does (0 done, 75 again, 125 never, else again), and its last line is the reason.
 * With protocol "report" it gets descriptor 3 and speaks for itself. When the stage is killed, so is the program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/stage.h>

#include "init/lib/privilege.h"
#include "init/lib/run.h"
#include "init/lib/words.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"

#define ARGUMENTS_MAX 64
#define GROUPS_MAX    64
#define REASON_LINES  3

struct program {
	char *argv[ARGUMENTS_MAX + 1];
	const struct passwd *user;	/* NULL: root */
	bool speaks;			/* protocol "report" */
	char last[REASON_LINES][RUN_LINE_MAX];
	size_t n_lines;
};

/* 0, or negative with errno. */
static int become(const struct passwd *user)
{
	gid_t groups[GROUPS_MAX];
	int n = GROUPS_MAX, r;

	if (getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0)
		r = -E2BIG;
	else
		r = privilege_user(user->pw_uid, user->pw_gid, groups, (size_t)n);
	errno = -r;
	return r;
}

static const char *prepare(void *with)
{
	const struct program *p = with;

	if (p->speaks && fcntl(REPORT_FD, F_SETFD, 0) < 0)
		return "report socket";
	umask(0022);
	return NULL;
}

/* Our descriptor 1 is PID 1's log pipe: a whole line there is one event of this stage. */
static void take_line(void *with, const char *text)
{
	struct program *p = with;
	char line[RUN_LINE_MAX + 1];
	size_t size = (size_t)snprintf(line, sizeof(line), "%s\n", text);

	memcpy(p->last[p->n_lines++ % REASON_LINES], text, size);	/* with its NUL */
	for (size_t done = 0; done < size;) {
		ssize_t n = write(STDOUT_FILENO, line + done, size - done);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd w = {.fd = STDOUT_FILENO, .events = POLLOUT};

			(void)poll(&w, 1, 1000);
		}
		done += n > 0 ? (size_t)n : 0;
	}
}

/* "exit status 3: the last lines / of the program"; a program that speaks for itself has reported why. */
static int judge(struct program *p, int end)
{
	size_t first = p->n_lines > REASON_LINES ? p->n_lines - REASON_LINES : 0;
	char said[REASON_LINES * (RUN_LINE_MAX + 3) + 1] = "";

	for (size_t i = first; i < p->n_lines; i++) {
		strcat(said, i == first ? ": " : " / ");
		strcat(said, p->last[i % REASON_LINES]);
	}
	if (end >= RUN_KILLED) {
		report_result("%s killed by %s%s", p->argv[0], signal_words(end - RUN_KILLED), said);
		return STAGE_AGAIN;
	}
	if (end == 0) {
		if (!p->speaks)
			report_result("%s", p->n_lines ? p->last[(p->n_lines - 1) % REASON_LINES] : "exit status 0");
		return STAGE_DONE;
	}
	if (!p->speaks || end == RUN_NOT_EXECUTED)
		report_result("%s exit status %d%s", p->argv[0], end, said);
	return end == STAGE_NEVER ? STAGE_NEVER : STAGE_AGAIN;
}

static int run(struct stage_context *context)
{
	static struct program p;
	const char *user = option_string(context, "user");
	const struct run program = {.words = p.argv, .prepare = prepare, .line = take_line, .with = &p};
	struct json_object *command;
	size_t n;
	int r;

	command = option_array(context, "command", &n);
	if (n == 0 || n > ARGUMENTS_MAX)
		return STAGE_NEVER;
	for (size_t i = 0; i < n; i++)
		p.argv[i] = (char *)json_object_get_string(json_object_array_get_idx(command, i));
	p.speaks = strcmp(option_string(context, "protocol"), "report") == 0;
	p.user = user[0] ? getpwnam(user) : NULL;
	if (user[0] && !p.user) {
		report_result("no user %s", user);
		return STAGE_NEVER;
	}
	if (p.user && become(p.user) < 0) {
		report_result("user %s: %s", user, strerror(errno));
		return STAGE_AGAIN;
	}
	r = run_program(&program);
	if (r < 0) {
		report_result("%s: %s", p.argv[0], strerror(-r));
		return STAGE_AGAIN;
	}
	r = judge(&p, r);
	if (p.speaks)
		_exit(r);	/* its own report is the result, even if there is none */
	return r;
}

static const char *const protocols[] = {"lines", "report", NULL};

static const struct stage_option options[] = {
	{.name = "command", .type = OPTION_STRINGS, .required = true, .minimum = 1, .maximum = ARGUMENTS_MAX,
	 .names = OPTION_NAMES_PROGRAM},
	{.name = "user", .type = OPTION_STRING, .maximum = 32, .fallback = ""},
	{.name = "protocol", .type = OPTION_STRING, .choices = protocols, .fallback = "lines"},
	{0},
};

const struct stage stage_exec = {
	.type = "exec",
	.options = options,
	.deadline_s = 300,
	.retry_limit = 5,
	.capabilities = UINT64_MAX,
	.execs = true,
	.calls = STAGE_CALLS_ANY,
	.unbounded = true,
	.run = run,
};
