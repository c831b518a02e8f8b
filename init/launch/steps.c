/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The role steps: performs a list of steps, a service's when_ready, and ends. PID 1 touches no file of a service. */
#include <stdio.h>
#include <sys/stat.h>

#include <json-c/json.h>

#include <gantry/role.h>
#include <gantry/stage.h>

#include "init/lib/options.h"
#include "init/lib/report.h"
#include "prestart.h"

#define STEPS_SIZE_MAX (1u << 20)

static int failed(const char *reason)
{
	if (report_result("%s", reason) < 0)
		dprintf(2, "steps: %s\n", reason);
	return STAGE_NEVER;
}

int steps_main(int argc, char **argv)
{
	struct json_object *steps = NULL;
	char reason[400];

	(void)argc;
	(void)argv;
	umask(0);
	if (options_json(STEPS_SIZE_MAX, &steps) < 0 || !json_object_is_type(steps, json_type_array))
		return failed("descriptor 4 does not hold a list of steps");
	return prestart_run(steps, reason, sizeof(reason)) < 0 ? failed(reason) : STAGE_DONE;
}
