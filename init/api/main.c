/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role `api`: the System API. A process of its own, without privileges, that knows of PID 1 only what comes through
 * descriptor 3. It keeps nothing that matters: killed at any moment it is started again, makes a new certificate,
 * and reads all events from the first.
 */
#include <errno.h>
#include <linux/capability.h>
#include <mbedtls/error.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/control.h>
#include <gantry/report.h>
#include <gantry/role.h>

#include "../loop.h"
#include "../text.h"
#include "conn.h"
#include "http.h"
#include "options.h"
#include "pid1.h"
#include "tls.h"

#define OPTIONS_MAX    65536
#define DESCRIPTORS    (4 * CONN_MAX)
#define ADDRESS_SPACE  (256u << 20)

static struct api_options options;

/* Standard error is a pipe to PID 1, each line an event: for what happens before descriptor 3 can be used. */
static int fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	return 1;
}

static int read_options(void)
{
	static char json[OPTIONS_MAX];
	char error[256];
	ssize_t n = pread(OPTIONS_FD, json, sizeof(json) - 1, 0);

	if (n < 0)
		return fail("options", strerror(errno));
	if (api_options_parse(&options, json, error, sizeof(error)) < 0)
		return fail("options", error);
	return 0;
}

static void limit(int resource, rlim_t value)
{
	setrlimit(resource, &(struct rlimit){value, value});
}

/* PID 1 has set the user; what is left to give up is given up here, before the first byte from the network. */
static int confine(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NPROC, 0);
	limit(RLIMIT_NOFILE, DESCRIPTORS);
	limit(RLIMIT_AS, ADDRESS_SPACE);
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

static void gone(void)
{
	loop_stop();
}

static void terminate(int sig)
{
	(void)sig;
	_exit(0);
}

static void say(int level, struct text *t)
{
	pid1_post(level, false, t->bytes, t->size, NULL, NULL);
}

static void say_listening(int result)
{
	char line[256];
	struct text t = TEXT_FIXED(line);

	if (result < 0)
		text_printf(&t, "listen on %s: %s; trying again", options.listen, strerror(-result));
	else
		text_printf(&t, "listens on %s", options.listen);
	say(result < 0 ? EVENT_ERROR : EVENT_INFO, &t);
}

static void say_certificate(const char *fingerprint)
{
	char line[512];
	struct text t = TEXT_FIXED(line);

	text_put(&t, "made a certificate for");
	for (size_t i = 0; i < options.n_hosts && t.size < 300; i++) {
		text_put(&t, i > 0 ? ", " : " ");
		text_put(&t, options.hosts[i]);
	}
	text_add(&t, "", 1);	/* the fields begin */
	text_printf(&t, "sha256=%s", fingerprint);
	say(EVENT_NOTICE, &t);
}

int api_main(int argc, char **argv)
{
	char fingerprint[65], words[128];
	int r;

	(void)argc;
	(void)argv;
	prctl(PR_SET_NAME, "gantry-api");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, terminate);
	if (read_options() != 0)
		return 1;
	r = confine();
	if (r < 0)
		return fail("giving up privileges", strerror(-r));
	r = tls_init(&options, fingerprint);
	if (r < 0) {
		mbedtls_strerror(r, words, sizeof(words));
		return fail("certificate", words);
	}
	r = loop_init();
	if (r == 0)
		r = pid1_init(CONTROL_FD, gone);
	if (r == 0)
		r = http_init();
	if (r < 0)
		return fail("start", strerror(-r));
	say_certificate(fingerprint);
	conn_listen((struct sockaddr *)&options.address, options.address_size, http_serve, say_listening);
	loop_run(http_run);
	return 0;
}
