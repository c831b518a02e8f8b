/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The role steps: performs a list of steps, a service's when_ready, and ends. PID 1 touches no file of a service. These
 * steps change owner and mode of files, so the role can do no more.
 */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <json-c/json.h>

#include <gantry/role.h>
#include <gantry/stage.h>

#include "init/lib/member.h"
#include "init/lib/options.h"
#include "init/lib/privilege.h"
#include "init/lib/report.h"
#include "init/lib/restrict.h"
#include "init/lib/rootview.h"
#include "prestart.h"

#define STEPS_SIZE_MAX (1u << 20)

/* Looks accounts up, walks to the file, changes it, reports. */
static const int calls[] = {
	SCMP_SYS(brk), SCMP_SYS(chmod), SCMP_SYS(close), SCMP_SYS(exit_group), SCMP_SYS(fchownat), SCMP_SYS(fcntl),
	SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(munmap), SCMP_SYS(newfstatat),
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(read), SCMP_SYS(readlinkat), SCMP_SYS(readv),
	SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(sendmsg), SCMP_SYS(stat),
	SCMP_SYS(statfs), SCMP_SYS(write), SCMP_SYS(writev),
};

static int failed(const char *reason)
{
	if (report_result("%s", reason) < 0)
		dprintf(2, "steps: %s\n", reason);
	return STAGE_NEVER;
}

/* The root may be read-only for all others. */
static int confine(struct json_object *steps, const char **ret_what)
{
	struct rootview view = ROOTVIEW_NONE;
	const struct restriction restriction = {.lists = {SYSFILTER_LIST(SCMP_ACT_ALLOW, calls)}};
	int r = 0;

	*ret_what = "making the root file system writable for this process";
	for (size_t i = 0; r == 0 && i < json_object_array_length(steps); i++) {
		const char *path = json_object_get_string(key_member(json_object_array_get_idx(steps, i), "path"));

		r = path ? rootview_take(&view, path) : -EINVAL;
	}
	rootview_stay(&view);
	if (r < 0)
		return r;
	*ret_what = "dropping capabilities";
	r = privilege_bound(UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |
			    UINT64_C(1) << CAP_FSETID);
	if (r < 0)
		return r;
	*ret_what = "installing the system call filter";
	return restrict_calls(&restriction);
}

int steps_main(int argc, char **argv)
{
	struct json_object *steps = NULL;
	const char *what;
	char reason[400];
	int r;

	(void)argc;
	(void)argv;
	umask(0);
	if (options_json(STEPS_SIZE_MAX, &steps) < 0 || !json_object_is_type(steps, json_type_array))
		return failed("descriptor 4 does not hold a list of steps");
	r = confine(steps, &what);
	if (r < 0) {
		snprintf(reason, sizeof(reason), "%s failed: %s", what, strerror(-r));
		return failed(reason);
	}
	return prestart_run(steps, reason, sizeof(reason)) < 0 ? failed(reason) : STAGE_DONE;
}
