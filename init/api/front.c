/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role `api-tls`: the listener, the TLS key and the sessions, in front of the role api. A process without privileges
 * or files. It reads TLS records and does not parse HTTP, so a bug in HTTP does not expose the key. It starts with a
 * generated key and changes to the key from the disk when PID 1 hands that over; the listener stays open.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/platform_util.h>
#include <psa/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gantry/control.h>
#include <gantry/role.h>

#include "confine.h"
#include "conn.h"
#include "identity.h"
#include "init/lib/loop.h"
#include "init/lib/text.h"
#include "listen.h"
#include "options.h"
#include "pid1.h"
#include "stop.h"
#include "tls.h"

#define ADDRESS_SPACE (512u << 20)
#define STOP_MS       700

#define LOOK_NS       60000000000LL	/* how often it is looked whether the certificate is still valid */
#define SOON_S        (14 * 86400)	/* so long before its end an operator's own is warned of */

static struct api_options options;
static struct identity identity;	/* wiped once it is in use */

/* The certificate in use. */
static char fingerprint[65];
static struct identity_validity validity;
static bool made;			/* here, and only in memory */
static const char *told;		/* what was said of its validity last; NULL: nothing is wrong with it */
static struct loop_timer look_timer;

/* Standard error is a pipe to PID 1, each line an event: for errors before descriptor 3 can be used. */
static int fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	return 1;
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
		text_printf(&t, "cannot listen on %s: %s; trying again", options.listen, strerror(-result));
	else
		text_printf(&t, "listens on %s", options.listen);
	say(result < 0 ? EVENT_ERROR : EVENT_INFO, &t);
}

static void say_certificate(const char *words)
{
	char line[512];
	struct text t = TEXT_FIXED(line);

	text_put(&t, words);
	text_add(&t, "", 1);	/* the fields begin */
	text_printf(&t, "sha256=%s", fingerprint);
	say(EVENT_NOTICE, &t);
	pid1_certificate(fingerprint, validity.end_s);
}

static void say_made(void)
{
	char line[400] = "";
	struct text t = {.bytes = line, .room = sizeof(line) - 1};

	text_put(&t, "made a certificate for");
	for (size_t i = 0; i < options.n_hosts && t.size < 140; i++)
		text_printf(&t, "%s%s", i > 0 ? ", " : " ", options.hosts[i]);
	say_certificate(line);
}

static int use(void)
{
	int r = tls_use(identity.certificate, identity.key, fingerprint, &validity);

	mbedtls_platform_zeroize(&identity, sizeof(identity));
	return r;
}

static int make_certificate(void)
{
	int r = psa_crypto_init() == PSA_SUCCESS ? identity_create(options.hosts, options.n_hosts, &identity) :
		MBEDTLS_ERR_SSL_INTERNAL_ERROR;

	return r < 0 ? r : use();
}

static void say_validity(int level, const char *words, int64_t at_s)
{
	char line[256], date[32];
	struct text t = TEXT_FIXED(line);
	struct tm tm;
	time_t at = at_s;

	if (told == words)
		return;
	told = words;
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&at, &tm));
	text_printf(&t, "the certificate %s %s", words, date);
	say(level, &t);
}

/* One that was made here is made anew in time, also after the clock was set; PID 1 has those of the disk renewed. */
static void look(struct loop_timer *timer)
{
	static const char expired[] = "has expired:", early[] = "is not valid before", soon[] = "expires soon:";
	int64_t now_s = time(NULL);

	if (made && identity_is_due(&validity, now_s) && make_certificate() == 0)
		say_made();
	if (now_s >= validity.end_s)
		say_validity(EVENT_ERROR, expired, validity.end_s);
	else if (now_s < validity.begin_s)
		say_validity(EVENT_WARNING, early, validity.begin_s);
	else if (now_s >= validity.end_s - SOON_S)
		say_validity(EVENT_WARNING, soon, validity.end_s);
	else
		told = NULL;
	loop_arm(timer, loop_now_ns() + LOOK_NS);
}

/* The PEM texts one after the other, the certificate first: tls_use() takes each from the same bytes. */
static void use_identity(int fd)
{
	char words[128], line[256];
	struct text t = TEXT_FIXED(line);
	ssize_t n = pread(fd, &identity, sizeof(identity), 0);
	int r;

	identity.certificate[sizeof(identity.certificate) - 1] = identity.key[sizeof(identity.key) - 1] = '\0';
	r = n == sizeof(identity) ? use() : MBEDTLS_ERR_X509_INVALID_FORMAT;
	if (r == 0) {
		made = false;
		told = NULL;
		say_certificate("using the certificate from the disk");
		look(&look_timer);
		return;
	}
	mbedtls_strerror(r, words, sizeof(words));
	text_printf(&t, "certificate from the disk: %s", words);
	say(EVENT_ERROR, &t);
}

static void gone(void)
{
	loop_stop();
}

static void handed(enum control_hand hand, int fd)
{
	if (hand == HAND_PEER) {
		conn_link(fd);
		return;
	}
	if (hand == HAND_IDENTITY)
		use_identity(fd);
	close(fd);
}

static uint16_t port(void)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&options.address;

	return ntohs(in->sin_port);	/* in IPv6's at the same place */
}

int front_main(int argc, char **argv)
{
	struct confinement confinement = {.network = true, .address_space = ADDRESS_SPACE, .file_bytes = 1 << 16};
	char error[256];
	const char *what;
	int r;

	(void)argc;
	(void)argv;
	prctl(PR_SET_NAME, "gantry-api-tls");
	signal(SIGPIPE, SIG_IGN);
	if (api_options_read(&options, error, sizeof(error)) < 0)
		return fail("reading the options failed", error);
	confinement.port = port();
	confinement.descriptors = 2 * options.connections + 64;
	r = confine(&confinement, &what);
	if (r < 0)
		return fail(what, strerror(-r));
	r = make_certificate();
	if (r < 0) {
		mbedtls_strerror(r, error, sizeof(error));
		return fail("creating the certificate failed", error);
	}
	r = loop_init();
	if (r == 0)
		r = stop_init(listen_stop, conn_idle, STOP_MS);
	if (r == 0)
		r = conn_init(options.connections, options.connections_per_address);
	if (r == 0)
		r = pid1_init(CONTROL_FD, gone, handed);
	if (r < 0)
		return fail("starting the role failed", strerror(-r));
	made = true;
	say_made();
	look_timer.fire = look;
	loop_arm(&look_timer, loop_now_ns() + LOOK_NS);
	listen_start((struct sockaddr *)&options.address, options.address_size, say_listening);
	loop_run(NULL);
	return 0;
}
