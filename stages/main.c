/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stage role: /init stage TYPE NAME. Finds the type, reads its options from descriptor 4, gives up every power
 * that the type does not list, and only then lets the stage run. What goes wrong before `run` is our own mistake or an
 * image that does not fit together: no retry helps, so it ends with STAGE_NEVER and a reason.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/stage.h>
#include <gantry/tpm.h>

#include "init/lib/options.h"
#include "init/lib/privilege.h"
#include "stages/lib/document.h"
#include "stages/lib/report.h"
#include "syscalls.h"

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

static int read_options(struct json_object **ret)
{
	_cleanup_(cleanup_free) char *text = NULL;
	char error[160];
	size_t size;
	int r = options_text(OPTIONS_SIZE_MAX, &text, &size);

	return r < 0 ? r : document_parse(text, size, ret, error, sizeof(error));
}

static int set_limit(int resource, rlim_t value)
{
	struct rlimit limit = {.rlim_cur = value, .rlim_max = value};

	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static bool carries_secrets(const struct stage *stage)
{
	return (stage->takes && stage->takes[0]) || (stage->gives && stage->gives[0]);
}

/*
 * Keeps exactly `mask` (as far as we have it) in every capability set. The bounding set shrinks first, since that
 * takes CAP_SETPCAP; without it there is nothing to bound, because nothing can be gained back under no_new_privs.
 */
static int keep_capabilities(uint64_t mask)
{
	uint64_t permitted, effective;
	int r = capabilities_get(&permitted, &effective);

	if (r == 0 && effective & UINT64_C(1) << CAP_SETPCAP)
		r = capabilities_bound(mask);
	return r < 0 ? r : capabilities_keep(permitted & mask, false);
}

/* A stage that holds an artifact locks its whole memory: a parser's copies of a secret lie anywhere on the heap. */
static int enter_sandbox(const struct stage *stage)
{
	int r;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	r = set_limit(RLIMIT_CORE, 0);
	if (r < 0)
		return r;
	if (carries_secrets(stage) && set_limit(RLIMIT_MEMLOCK, RLIM_INFINITY) == 0)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	r = stage->execs ? 0 : privilege_no_new();
	if (r < 0)
		return r;
	r = syscalls_forbid(stage->filter);
	if (r < 0)
		return r;
	return keep_capabilities(stage->capabilities);
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

int stage_main(int argc, char **argv)
{
	struct stage_context context = {0};
	const struct stage *stage;
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
	r = read_options(&context.options);
	if (r < 0) {
		report_result("reading the options failed: %s", strerror(-r));
		return STAGE_NEVER;
	}
	r = enter_sandbox(stage);
	if (r < 0) {
		report_result("entering the sandbox failed: %s", strerror(-r));
		return STAGE_NEVER;
	}
	r = stage->run(&context);
	if (r != STAGE_DONE && !report_has_result())
		report_result("stage exited with status %d without a reason", r);
	return r;
}
