/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The role that does a list of steps and ends: those of when_ready. PID 1 itself touches no file that a service owns.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/role.h>
#include <gantry/stage.h>

#include "init/lib/report.h"
#include "prestart.h"

#define STEPS_SIZE_MAX (1u << 20)

static struct json_object *read_steps(void)
{
	_cleanup_(cleanup_free) char *text = NULL;
	struct json_object *steps;
	struct stat st;

	if (fstat(OPTIONS_FD, &st) < 0 || st.st_size <= 0 || st.st_size > STEPS_SIZE_MAX)
		return NULL;
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text || pread(OPTIONS_FD, text, (size_t)st.st_size, 0) != st.st_size)
		return NULL;
	steps = json_tokener_parse(text);
	return json_object_is_type(steps, json_type_array) ? steps : NULL;
}

static int failed(const char *reason)
{
	if (report_result("%s", reason) < 0)
		dprintf(2, "steps: %s\n", reason);
	return STAGE_NEVER;
}

int steps_main(int argc, char **argv)
{
	struct json_object *steps = read_steps();
	char reason[400];

	(void)argc;
	(void)argv;
	umask(0);
	if (!steps)
		return failed("descriptor 4 holds no steps");
	return prestart_run(steps, reason, sizeof(reason)) < 0 ? failed(reason) : STAGE_DONE;
}
