/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stage role: /init stage TYPE NAME. Finds the type, reads its options from descriptor 4, gives up every power
 * that the type does not list, and only then lets the stage run. What goes wrong before `run` is our own mistake or an
 * image that does not fit together: no retry helps, so it ends with STAGE_NEVER and a reason.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/stage.h>
#include <gantry/tpm.h>

#include "init/lib/options.h"
#include "rights.h"
#include "stages/lib/document.h"
#include "stages/lib/report.h"

#define OPTIONS_SIZE_MAX (1u << 20)

static const struct stage *find_type(const char *type)
{
	for (size_t i = 0; stage_table[i]; i++) {
		if (strcmp(stage_table[i]->type, type) == 0)
			return stage_table[i];
	}
	return NULL;
}

/*
 * Descriptors 0 to 4 are ours by contract, and 5 of a type that uses the TPM; those from 3 on must not reach a program
 * that the stage starts.
 */
static int own_descriptors(const struct stage *stage)
{
	int last = stage && stage->tpm ? TPM_CLIENT_FD : OPTIONS_FD;

	if (fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(OPTIONS_FD, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	if (syscall(SYS_close_range, last + 1, ~0U, 0) < 0)
		return -errno;
	if (last == TPM_CLIENT_FD)
		(void)fcntl(TPM_CLIENT_FD, F_SETFD, FD_CLOEXEC);	/* without it every request fails */
	return 0;
}

static int read_options(const struct stage *stage, struct json_object **ret)
{
	_cleanup_(cleanup_free) char *text = NULL;
	char error[160];
	size_t size;
	int r = options_text(OPTIONS_SIZE_MAX, &text, &size);

	if (r == 0)
		r = document_parse(text, size, ret, error, sizeof(error));
	return r < 0 ? r : options_fill(*ret, stage->options);
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);	/* a peer that hangs up is an error code, not a death */
}

static bool find_mode(const char *word, enum stage_mode *ret)
{
	static const char *const names[] = STAGE_MODE_NAMES;

	for (int i = 0; i < STAGE_MODE_MAX; i++) {
		if (strcmp(names[i], word) == 0) {
			*ret = (enum stage_mode)i;
			return true;
		}
	}
	return false;
}

/* What the partner says first: whether it has given up its rights. */
struct hello {
	int error;
	char step[120];
};

static _Noreturn void be_partner(const struct stage *partner, struct stage_context *context)
{
	struct hello hello = {0};

	prctl(PR_SET_NAME, partner->type, 0, 0, 0);
	close(REPORT_FD);
	close(OPTIONS_FD);
	hello.error = rights_restrict(partner, context->options, hello.step, sizeof(hello.step));
	if (send(context->pair, &hello, sizeof(hello), MSG_NOSIGNAL) < 0 || hello.error < 0)
		_exit(STAGE_NEVER);
	_exit(partner->run(context));
}

/* 0 or negative errno. */
static int start_partner(const struct stage *stage, struct stage_context *context)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	context->pair = pair[1];
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		be_partner(stage->partner, context);
	}
	context->pair = pair[0];
	close(pair[1]);
	return pid < 0 ? -errno : 0;
}

static int hear_partner(const struct stage *stage, const struct stage_context *context, char *step, size_t size)
{
	struct hello hello = {0};

	snprintf(step, size, "starting %s", stage->partner->type);
	if (recv(context->pair, &hello, sizeof(hello), 0) != (ssize_t)sizeof(hello))
		return -EPIPE;
	if (hello.error < 0)
		snprintf(step, size, "%s", hello.step);
	return hello.error;
}

/* Neither process waits for the other before it has given up its rights. With the step that failed. */
static int take_rights(const struct stage *stage, struct stage_context *context, char *step, size_t size)
{
	int r = stage->partner ? start_partner(stage, context) : 0;

	if (r < 0) {
		snprintf(step, size, "starting %s", stage->partner->type);
		return r;
	}
	r = rights_restrict(stage, context->options, step, size);
	return r == 0 && stage->partner ? hear_partner(stage, context, step, size) : r;
}

int stage_main(int argc, char **argv)
{
	struct stage_context context = {.pair = -1};
	const struct stage *stage;
	char step[120];
	int r;

	if (argc != 4 && !(argc == 5 && find_mode(argv[4], &context.mode))) {
		fprintf(stderr, "stage: this role is started by PID 1\n");
		return STAGE_NEVER;
	}
	context.name = argv[3];
	reset_signals();
	umask(0077);
	stage = find_type(argv[2]);
	r = own_descriptors(stage);
	if (r < 0) {
		fprintf(stderr, "%s: report socket or options missing: %s\n", context.name, strerror(-r));
		return STAGE_NEVER;
	}
	if (!stage) {
		report_result("no stage type \"%s\" in this binary", argv[2]);
		return STAGE_NEVER;
	}
	r = read_options(stage, &context.options);
	if (r < 0) {
		report_result("reading the options failed: %s", strerror(-r));
		return STAGE_NEVER;
	}
	r = stage->prepare ? stage->prepare(&context) : STAGE_DONE;
	if (r != STAGE_DONE)
		return r;
	r = take_rights(stage, &context, step, sizeof(step));
	if (r < 0) {
		report_result("%s failed: %s", step, r == -ENOENT ? "not there" : r == -ENOSYS ?
			      "this kernel has none" : strerror(-r));
		return STAGE_NEVER;
	}
	r = stage->run(&context);
	if (r != STAGE_DONE && !report_has_result())
		report_result("stage exited with status %d without a reason", r);
	return r;
}
