/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The role container-tidy: removes what a container that was killed has left, so that it is gone as after any other
 * end. Descriptor 4 holds the service's object, 3 is the report socket.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/report.h>
#include <gantry/role.h>
#include <gantry/stage.h>

#include "container-podman.h"

#define OPTIONS_MAX (64u << 20)

static struct json_object *read_options(void)
{
	struct json_object *options = NULL;
	struct stat st;
	char *text;

	if (fstat(OPTIONS_FD, &st) == 0 && st.st_size > 0 && st.st_size <= (off_t)OPTIONS_MAX &&
	    (text = calloc(1, (size_t)st.st_size + 1))) {
		if (pread(OPTIONS_FD, text, (size_t)st.st_size, 0) == st.st_size)
			options = json_tokener_parse(text);
		free(text);
	}
	close(OPTIONS_FD);
	return options;
}

static void after(struct json_object *service)
{
	static struct podman podman;

	podman_begin(&podman, service);
	if (!podman_lock(&podman, false))
		return;		/* it is started again: its launcher does the same */
	if (podman_remove(&podman) < 0)
		podman_fail(STAGE_AGAIN, "%.300s", podman_cause(&podman));
}

int container_tidy_main(int argc, char **argv)
{
	struct json_object *options = read_options();

	(void)argc;
	(void)argv;
	umask(0022);
	if (!container_is(options))
		podman_fail(STAGE_NEVER, "descriptor %d holds no container", OPTIONS_FD);
	after(options);
	return 0;
}
