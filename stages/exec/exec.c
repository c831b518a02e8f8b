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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/stage.h>

#include "stages/lib/options.h"
#include "stages/lib/report.h"

#define ARGUMENTS_MAX 64
#define LINE_MAX_BYTES 1024
#define REASON_LINES  3
#define EXEC_FAILED   127	/* the child could not become the program; errno is in the pipe */

struct program {
	char *argv[ARGUMENTS_MAX + 1];
	const struct passwd *user;	/* NULL: root */
	bool speaks;			/* protocol "report" */
	pid_t pid;
	int lines;			/* its output */
	char line[LINE_MAX_BYTES];	/* the one being read */
	size_t used;
	char last[REASON_LINES][LINE_MAX_BYTES + 1];
	size_t n_lines;
};

/* In the child. Returns only on failure, with what could not be done. */
static const char *become(struct program *p, int out)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return "parent death signal";
	signal(SIGPIPE, SIG_DFL);
	if (dup2(out, 1) < 0 || dup2(out, 2) < 0)
		return "output";
	if (p->speaks && fcntl(REPORT_FD, F_SETFD, 0) < 0)
		return "report socket";
	if (p->user) {
		if (initgroups(p->user->pw_name, p->user->pw_gid) < 0 || setgid(p->user->pw_gid) < 0 ||
		    setuid(p->user->pw_uid) < 0)
			return "user";
		/* A change of user clears it. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			return "parent death signal";
	}
	umask(0022);
	execv(p->argv[0], p->argv);
	return p->argv[0];
}

static int start(struct program *p)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	p->pid = fork();
	if (p->pid < 0) {
		int r = -errno;

		close(fds[0]);
		close(fds[1]);
		return r;
	}
	if (p->pid == 0) {
		const char *what = become(p, fds[1]);

		dprintf(fds[1], "%s: %s\n", what, strerror(errno));
		_exit(EXEC_FAILED);
	}
	close(fds[1]);
	p->lines = fds[0];
	return 0;
}

/* Our descriptor 1 is PID 1's log pipe: a whole line there is one event of this stage. */
static void end_line(struct program *p)
{
	char *slot = p->last[p->n_lines % REASON_LINES];

	if (p->used == 0)
		return;
	p->n_lines++;
	memcpy(slot, p->line, p->used);
	slot[p->used] = '\0';
	p->line[p->used] = '\n';
	for (size_t done = 0; done < p->used + 1;) {
		ssize_t n = write(STDOUT_FILENO, p->line + done, p->used + 1 - done);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd w = {.fd = STDOUT_FILENO, .events = POLLOUT};

			(void)poll(&w, 1, 1000);
		}
		done += n > 0 ? (size_t)n : 0;
	}
	p->used = 0;
}

/* True while there may be more. */
static bool read_lines(struct program *p)
{
	char buffer[4096];
	ssize_t n = read(p->lines, buffer, sizeof(buffer));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	for (ssize_t i = 0; i < n; i++) {
		if (buffer[i] == '\n')
			end_line(p);
		else if (p->used < LINE_MAX_BYTES - 1)
			p->line[p->used++] = buffer[i];
	}
	return n > 0;
}

/* Until the program has ended; a process that it left behind with the pipe open is not waited for. */
static int follow(struct program *p, siginfo_t *ret)
{
	int pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	struct pollfd fds[2] = {
		{.fd = p->lines, .events = POLLIN},
		{.fd = pidfd, .events = POLLIN},
	};
	int r = 0;

	if (pidfd < 0)
		return -errno;
	while (!fds[1].revents) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			r = -errno;
			break;
		}
		if (fds[0].fd >= 0 && fds[0].revents && !read_lines(p))
			fds[0].fd = -1;
	}
	if (fcntl(p->lines, F_SETFL, O_NONBLOCK) == 0) {
		while (fds[0].fd >= 0 && poll(fds, 1, 0) > 0 && read_lines(p))
			;
	}
	end_line(p);
	close(pidfd);
	if (r == 0 && waitid(P_PID, (id_t)p->pid, ret, WEXITED) < 0)
		r = -errno;
	return r;
}

/* "exit status 3: the last lines / of the program"; a program that speaks for itself has said why. */
static int judge(struct program *p, const siginfo_t *end)
{
	size_t first = p->n_lines > REASON_LINES ? p->n_lines - REASON_LINES : 0;
	char said[REASON_LINES * (LINE_MAX_BYTES + 3) + 1] = "";

	for (size_t i = first; i < p->n_lines; i++) {
		strcat(said, i == first ? ": " : " / ");
		strcat(said, p->last[i % REASON_LINES]);
	}
	if (end->si_code != CLD_EXITED) {
		report_result("%s killed by signal %d%s", p->argv[0], end->si_status, said);
		return STAGE_AGAIN;
	}
	if (end->si_status == 0) {
		if (!p->speaks)
			report_result("%s", p->n_lines ? p->last[(p->n_lines - 1) % REASON_LINES] : "exit status 0");
		return STAGE_DONE;
	}
	if (!p->speaks || end->si_status == EXEC_FAILED)
		report_result("%s exit status %d%s", p->argv[0], end->si_status, said);
	return end->si_status == STAGE_NEVER ? STAGE_NEVER : STAGE_AGAIN;
}

static int run(struct stage_context *context)
{
	static struct program p;
	const char *user = option_string(context, "user", "");
	struct json_object *command;
	siginfo_t end = {0};
	size_t n;
	int r;

	command = option_array(context, "command", &n);
	if (n == 0 || n > ARGUMENTS_MAX)
		return STAGE_NEVER;
	for (size_t i = 0; i < n; i++)
		p.argv[i] = (char *)json_object_get_string(json_object_array_get_idx(command, i));
	p.speaks = strcmp(option_string(context, "protocol", "lines"), "report") == 0;
	p.user = user[0] ? getpwnam(user) : NULL;
	if (user[0] && !p.user) {
		report_result("no user %s", user);
		return STAGE_NEVER;
	}
	r = start(&p);
	if (r == 0)
		r = follow(&p, &end);
	if (r < 0) {
		report_result("%s: %s", p.argv[0], strerror(-r));
		return STAGE_AGAIN;
	}
	r = judge(&p, &end);
	if (p.speaks)
		_exit(r);	/* its own report is the result, even if there is none */
	return r;
}

static const char *const protocols[] = {"lines", "report", NULL};

static const struct stage_option options[] = {
	{.name = "command", .type = OPTION_STRINGS, .required = true, .minimum = 1, .maximum = ARGUMENTS_MAX,
	 .names = OPTION_NAMES_PROGRAM},
	{.name = "user", .type = OPTION_STRING, .maximum = 32},
	{.name = "protocol", .type = OPTION_STRING, .choices = protocols},
	{0},
};

const struct stage stage_exec = {
	.type = "exec",
	.options = options,
	.deadline_s = 300,
	.retry_limit = 5,
	.capabilities = UINT64_MAX,
	.execs = true,
	.filter = STAGE_FILTER_NONE,
	.run = run,
};
