/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as what a client sends to the HTTP role: the real routes and answers, with this file as PID 1, loop and clock.
 * The first byte says how much the client may (see `modes`); each byte 0xff ends a piece, which is sent and worked on
 * before the next one. Whatever comes, each request is over soon after its client, and nothing is passed on as an act
 * unless the client has named it, and may do it.
 */
/* links: api init/lib show */
/* libs: microhttpd mbedtls */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gantry/control.h>

#include "fake_loop.h"
#include "init/api/access.h"
#include "init/api/acts.h"
#include "init/api/bootlog.h"
#include "init/api/http.h"
#include "init/api/identity.h"
#include "init/api/pid1.h"
#include "init/api/routes.h"
#include "init/api/stop.h"
#include "target.h"
#include "tests/unit/fake_stages.h"

#define PENDING_MAX 64
#define TURNS_MAX   64
#define MS          1000000LL
#define CREDENTIALS "YWRtaW46c2VjcmV0"	/* admin:secret */

static const struct mode {
	bool nothing_before_unlock, unlocked, password;
} modes[] = {
	{.unlocked = true},			/* no password is stored: everybody may do everything */
	{.unlocked = true, .password = true},
	{0},					/* the disk is not open: reading only */
	{.nothing_before_unlock = true},
};

static struct api_options options = {
	.connections = 64, .password_file = "/secret", .salt = "salt", .n_actions = 2, .actions = {"restart", "rotate"},
	.n_uploads = 1, .uploads = {{.name = "list", .path = "/list", .max_bytes = 1000}},
};

static const struct mode *mode;
static char *said;			/* all of the client's bytes, with %XX decoded: what it can have named */
static bool said_post, said_credentials;

/* ---- pid1.h ---------------------------------------------------------------------------------------------------- */

static struct pending {
	void (*posted)(void *with, int result);
	void (*collected)(void *with, const struct status *status);
	void (*begun)(void *with, int64_t result);
	void *with;
	bool act;
} pending[PENDING_MAX];
static size_t n_pending;
static struct history history;
static struct status status;
static int64_t last_id;
static void (*seen)(const struct event_view *e);
static void (*on_events)(void);

const struct history *pid1_events(void)
{
	return &history;
}

void pid1_on_event(void (*call)(const struct event_view *e))
{
	seen = call;
}

void pid1_on_events(void (*call)(void))
{
	on_events = call;
}

bool pid1_read(uint64_t *next, uint64_t last, char *record, struct event_view *e)
{
	uint64_t seq = *next;
	size_t size = seq <= last ? history_read(&history, &seq, record) : 0;

	if (size == 0 || seq > last || event_view(e, record, size) < 0)
		return false;
	*next = seq + 1;
	return true;
}

bool pid1_newest(uint64_t *ret)
{
	*ret = history_last(&history);
	return true;
}

static void add_event(const char *source, const char *text, size_t text_size, const char *fields, size_t fields_size)
{
	char record[EVENT_RECORD_MAX];
	struct event_head head = {.seq = history_last(&history) + 1, .wall_ns = fake_now_ns, .boot_ns = fake_now_ns,
				  .level = EVENT_INFO, .source_size = (uint16_t)strlen(source), .text_size = (uint16_t)text_size,
				  .fields_size = (uint16_t)fields_size};
	char *at = mempcpy(record, &head, sizeof(head));
	struct event_view e;

	at = mempcpy(mempcpy(mempcpy(at, source, head.source_size), text, text_size), fields, fields_size);
	history_add(&history, record, (size_t)(at - record));
	if (seen && event_view(&e, record, (size_t)(at - record)) == 0)
		seen(&e);
}

static int ask(struct pending what)
{
	if (n_pending == PENDING_MAX)
		return -EBUSY;
	pending[n_pending++] = what;
	return 0;
}

int pid1_post(int level, bool outside, const char *text, size_t size, void (*done)(void *with, int result), void *with)
{
	must(level >= EVENT_DEBUG && level <= EVENT_ERROR, "a level");
	must(!outside || strstr(said, "/api/v1/new_event"), "an event in a client's words was asked for");
	if (outside)
		add_event("http", text, strnlen(text, size < EVENT_TEXT_MAX ? size : EVENT_TEXT_MAX), "", 0);
	return ask((struct pending){.posted = done, .with = with});
}

int pid1_status(void (*done)(void *with, const struct status *status), void *with)
{
	return ask((struct pending){.collected = done, .with = with});
}

/* What the client must have said for this act, percent signs decoded once. */
static bool named(enum control_kind kind, const char *name)
{
	char path[256];

	if (kind == CONTROL_BOOT_LOG)
		return strstr(said, "boot=");
	if (kind == CONTROL_SERVICE_LOG) {
		snprintf(path, sizeof(path), "/api/v1/logs/%s", name);
		return strstr(said, path);
	}
	if (kind == CONTROL_PASSWORD)
		return said_post && strstr(said, "/api/v1/set-basic-auth");
	if (kind == CONTROL_UPLOAD && !said_post)
		return false;
	snprintf(path, sizeof(path), "/api/v1/%s/%s", kind == CONTROL_UPLOAD ? "file-upload" : "actions", name);
	return strstr(said, path);
}

static void tell_log(int fd)
{
	static const char answer[] = {BOOTLOG_FOUND, '[', ']', '\n'};

	if (send(fd, answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		perror("log");
}

int pid1_act(enum control_kind kind, const void *body, size_t size, int fd, void (*done)(void *with, int64_t result),
	     void *with)
{
	char *name = strndup(body, size);

	must(kind == CONTROL_ACTION || kind == CONTROL_UPLOAD || kind == CONTROL_PASSWORD ||
	     kind == CONTROL_BOOT_LOG || kind == CONTROL_SERVICE_LOG,
	     "an act that the API has");
	must(named(kind, name), "the client has named the act");
	must(!mode->password || said_credentials, "who acts has the password");
	must(kind >= CONTROL_BOOT_LOG ? mode->unlocked || !mode->nothing_before_unlock : mode->unlocked,
	     "nothing is done before the disk is open");
	must(kind != CONTROL_UPLOAD || lseek(fd, 0, SEEK_END) <= 1000, "an upload is within its limit");
	if (kind >= CONTROL_BOOT_LOG)
		tell_log(fd);
	free(name);
	return ask((struct pending){.begun = done, .with = with, .act = kind < CONTROL_BOOT_LOG});
}

static void answer_one(const struct pending *p)
{
	char fields[64];

	if (p->posted)
		p->posted(p->with, 0);
	if (p->collected)
		p->collected(p->with, &status);
	if (!p->begun)
		return;
	p->begun(p->with, ++last_id);
	if (p->act)	/* every other one fails; sizeof(): with the NUL */
		add_event("system-api", "over", 4, fields, (size_t)snprintf(fields, sizeof(fields), "id=%lld%cresult=%s",
			  (long long)last_id, 0, last_id % 2 ? "success" : "failed") + 1);
}

static void answer_all(void)
{
	struct pending now[PENDING_MAX];
	size_t n = n_pending;

	memcpy(now, pending, n * sizeof(*now));
	n_pending = 0;
	for (size_t i = 0; i < n; i++)
		answer_one(&now[i]);
	if (n > 0 && on_events)
		on_events();
}

/* ---- what else is linked --------------------------------------------------------------------------------------- */

void stop_check(void)
{
}

int identity_random(void *with, unsigned char *out, size_t size)
{
	(void)with;
	memset(out, 7, size);
	return 0;
}

/* ---- the client ------------------------------------------------------------------------------------------------- */

static void turn(void)
{
	fake_turn();
	fake_pass(MS);
	answer_all();
	http_run();
}

/* Takes what has come; false: that is all. */
static bool take(int fd)
{
	char answer[16384];
	ssize_t n;

	do
		n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	while (n > 0);
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void say(int fd, const uint8_t *bytes, size_t size)
{
	for (int turns = 0; size > 0 && turns < TURNS_MAX; turns++) {
		ssize_t n = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
		turn();
		if (!take(fd))
			return;
	}
	for (int turns = 0; turns < 4; turns++) {
		turn();
		take(fd);
	}
}

/* 0xff stands between pieces and is not sent: an escape may begin in one piece and end in the next. */
static size_t without_cuts(const uint8_t *bytes, size_t size, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0xff)
			out[n++] = (char)bytes[i];
	return n;
}

static void remember(const uint8_t *bytes, size_t size)
{
	char *sent = malloc(size + 1), *out = said = malloc(size + 1);

	size = without_cuts(bytes, size, sent);
	for (size_t i = 0; i < size; i++) {
		unsigned byte;
		char digits[3] = {0};

		*out = sent[i];
		if (sent[i] == '%' && i + 2 < size) {
			memcpy(digits, sent + i + 1, 2);
			if (strspn(digits, "0123456789abcdefABCDEF") == 2 && sscanf(digits, "%x", &byte) == 1 && byte) {
				*out = (char)byte;
				i += 2;
			}
		}
		out += *out != '\0';	/* so that strstr() sees all of it */
	}
	*out = '\0';
	free(sent);
	said_post = strstr(said, "POST");
	said_credentials = strstr(said, CREDENTIALS);
}

static void store(const char *text)
{
	int fd = memfd_create("stored", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "a memfd");
	access_stored(fd);
	close(fd);
}

static void begin(uint8_t which)
{
	static const char hash[] = "f84fa2149dbb62ed4e0cf1f550d2949b33a6513d3a7707e08502511c79ccb0ee";
	static bool begun;

	if (!begun) {
		signal(SIGPIPE, SIG_IGN);
		must(history_init(&history, 64) == 0 && http_init(options.connections, routes, n_routes) == 0, "the start");
		acts_init(&options);
		add_event("test", "an event", 8, "", 0);
		begun = true;
	}
	mode = &modes[which % (sizeof(modes) / sizeof(*modes))];
	options.nothing_before_unlock = mode->nothing_before_unlock;
	must(access_init(&options) == 0, "access");
	if (mode->unlocked)
		store(mode->password ? hash : "");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int pair[2];

	if (size == 0)
		return 0;
	begin(bytes[0]);
	remember(bytes + 1, size - 1);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
	must(http_serve(pair[1], (struct sockaddr *)&peer, sizeof(peer)) == 0, "a connection");
	for (const uint8_t *at = bytes + 1, *end = bytes + size, *cut; at < end; at = cut + 1) {
		cut = memchr(at, 0xff, (size_t)(end - at));
		cut = cut ? cut : end;
		say(pair[0], at, (size_t)(cut - at));
	}
	shutdown(pair[0], SHUT_WR);
	for (int turns = 0; turns < TURNS_MAX && take(pair[0]); turns++)
		turn();
	close(pair[0]);
	for (int turns = 0; turns < TURNS_MAX && (!http_idle() || n_pending > 0); turns++) {
		fake_pass(1000 * MS);	/* a stream that has nothing to say finds out by its heartbeat */
		turn();
	}
	must(http_idle() && n_pending == 0, "every request is over when its client is gone");
	free(said);
	return 0;
}
