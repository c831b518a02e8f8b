/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role `api`: the System API's HTTP. A process without privileges, files or network: PID 1 is at descriptor 3, and
 * clients are plain bytes that api-tls passes on. It holds no state of its own: if it is killed, it is started again
 * and reads all events from the first.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <gantry/control.h>
#include <gantry/role.h>

#include "access.h"
#include "acts.h"
#include "confine.h"
#include "http.h"
#include "init/lib/loop.h"
#include "options.h"
#include "peer.h"
#include "pid1.h"
#include "routes.h"
#include "stop.h"
#include "stream.h"

#define ADDRESS_SPACE (512u << 20)
#define STOP_MS       300

static struct api_options options;

/* Standard error is a pipe to PID 1, each line an event: for errors before descriptor 3 can be used. */
static int fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	return 1;
}

static void gone(void)
{
	loop_stop();
}

static void handed(enum control_hand hand, int fd)
{
	if (hand == HAND_PEER) {
		peer_use(fd);
		return;
	}
	if (hand == HAND_PASSWORD && access_stored(fd))
		stream_end_all();	/* none of them has shown this password */
	close(fd);
}

static size_t largest_upload(void)
{
	size_t most = 1 << 16;

	for (size_t i = 0; i < options.n_uploads; i++)
		if (options.uploads[i].max_bytes > most)
			most = options.uploads[i].max_bytes;
	return most;
}

int api_main(int argc, char **argv)
{
	struct confinement confinement = {.address_space = ADDRESS_SPACE};
	const char *what;
	char error[256];
	int r;

	(void)argc;
	(void)argv;
	prctl(PR_SET_NAME, "gantry-api");
	signal(SIGPIPE, SIG_IGN);
	if (api_options_read(&options, error, sizeof(error)) < 0)
		return fail("reading the options failed", error);
	confinement.file_bytes = largest_upload();
	confinement.descriptors = 2 * options.connections + 64;
	r = confine(&confinement, &what);
	if (r < 0)
		return fail(what, strerror(-r));
	peer_init(http_serve);
	acts_init(&options);
	r = loop_init();
	if (r == 0)
		r = stop_init(NULL, http_idle, STOP_MS);
	if (r == 0)
		r = pid1_init(CONTROL_FD, gone, handed);
	if (r == 0)
		r = access_init(&options);
	if (r == 0)
		r = http_init(options.connections, routes, n_routes);
	if (r == 0)
		r = pid1_follow();
	if (r < 0)
		return fail("starting the role failed", strerror(-r));
	loop_run(http_run);
	return 0;
}
