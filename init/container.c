/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements container.h: from the launcher to podman. Everything that may take long or fail for a while (the registry)
 * happens here, under one deadline and with progress reports, before PID 1 hears that the service has started; so the
 * deadline of readiness is the container's own. Mounts, the registry's password and podman's overlay live in a mount
 * namespace that ends with the service's last process: nothing is left to clean up, however it ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/event.h>
#include <gantry/report.h>
#include <gantry/stage.h>

#include "config-check.h"
#include "container.h"
#include "container-run.h"
#include "words.h"

#define SECOND_NS       1000000000LL
#define LOOK_S          60	/* for what podman answers from its storage */
#define BACKOFF_MIN_NS  SECOND_NS
#define BACKOFF_MAX_NS  (30 * SECOND_NS)
#define PROGRESS_NS     (5 * SECOND_NS)
#define CAUSE_MAX       80	/* bytes of podman's words in a result, which says the image besides */
#define REMOVE_ATTEMPTS 3	/* the first one finds out that a killed container is dead, and says so as an error */
#define PASSWORD_MAX    4096
#define LOGIN           CONTAINER_RUNTIME "/login"
#define AUTHFILE        LOGIN "/auth.json"
#define ROOT            CONTAINER_RUNTIME "/root"

struct work {
	struct json_object *service, *container;
	const char *image;
	char name[160];			/* the image, with the beginning of its digest: for people */
	struct container_words environment;
	char temporary[PATH_MAX];
	char last[RUN_LINE_MAX];	/* the last error that podman printed */
	bool known, mismatch;
	unsigned attempt;
	int64_t started_ns, deadline_ns, deadline_s;
};

/* ---- what PID 1 is told --------------------------------------------------------------------------------------- */

static void send_report(enum report_kind kind, enum event_level level, const void *head, size_t head_size,
			const char *text)
{
	struct {
		struct report_head head;
		char body[EVENT_TEXT_MAX];
	} message = {.head = {.kind = (uint16_t)kind, .level = (uint8_t)level}};
	size_t n = strnlen(text, sizeof(message.body) - head_size);

	memcpy(message.body, head, head_size);
	memcpy(message.body + head_size, text, n);
	message.head.size = (uint32_t)(head_size + n);
	if (send(REPORT_FD, &message, sizeof(message.head) + message.head.size, MSG_NOSIGNAL) < 0)
		dprintf(2, "container: %s\n", text);
}

static void say(enum event_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(enum event_level level, const char *fmt, ...)
{
	char text[EVENT_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	send_report(REPORT_EVENT, level, "", 0, text);
}

static _Noreturn void fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static _Noreturn void fail(int status, const char *fmt, ...)
{
	char reason[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	send_report(REPORT_RESULT, EVENT_ERROR, "", 0, reason);
	exit(status);
}

/* ---- where it happens ----------------------------------------------------------------------------------------- */

static void make_directory(const char *path, mode_t mode)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *at = strchr(part + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			fail(STAGE_AGAIN, "directory %s: %s", part, error_words(errno));
		*at = '/';
	}
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		fail(STAGE_AGAIN, "directory %s: %s", path, error_words(errno));
}

/* Whole or not at all, since the roles of several services make it at the same time. */
static void make_file(const char *name, const char *text)
{
	char path[128], temporary[128];
	_cleanup_(cleanup_close) int fd = -1;
	size_t n = strlen(text);

	snprintf(path, sizeof(path), CONTAINER_RUNTIME "/%s", name);
	snprintf(temporary, sizeof(temporary), CONTAINER_RUNTIME "/.%s.%d", name, getpid());
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, n) != (ssize_t)n || rename(temporary, path) < 0)
		fail(STAGE_AGAIN, "%s: %s", path, error_words(errno));
}

/* podman reads these instead of the machine's /etc/containers. The image is named by its digest: no other policy. */
static void make_configuration(void)
{
	make_directory(CONTAINER_RUNTIME, 0700);
	make_directory(LOGIN, 0700);
	make_directory(ROOT, 0700);
	make_file("containers.conf", "[containers]\n[engine]\n");
	make_file("storage.conf", "[storage]\ndriver = \"overlay\"\n");
	make_file("registries.conf", "unqualified-search-registries = []\n");
	make_file("policy.json", "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}\n");
}

static void must(int r, const char *what)
{
	if (r < 0)
		fail(STAGE_AGAIN, "%s: %s", what, error_words(errno));
}

/*
 * The machine's root may be the kernel's first one, out of which nothing can pivot; a copy of it, moved on top of it,
 * can be left. Slave: what is mounted later is seen here, and what is mounted here is not seen elsewhere.
 */
static void enter_namespace(void)
{
	must(unshare(CLONE_NEWNS), "mount namespace");
	must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "mount namespace");
	must(mount("/", ROOT, NULL, MS_BIND | MS_REC, NULL), "mount of the root");
	must(chdir(ROOT), ROOT);
	must(mount(".", "/", NULL, MS_MOVE, NULL), "mount of the root");
	must(chroot("."), ROOT);
	must(chdir("/"), "/");
	must(mount("login", LOGIN, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=1m"), LOGIN);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	if (walk->level > 0)
		(void)remove(path);
	return 0;
}

/* What a pull that was cut off has left is as large as an image. */
static void make_temporary(struct work *work)
{
	struct json_object *containers = key_member(work->service, "containers");

	snprintf(work->temporary, sizeof(work->temporary), "%s/tmp/%s",
		 key_string(containers, &containers_keys, "storage"),
		 json_object_get_string(key_member(work->service, "name")));
	make_directory(work->temporary, 0700);
	nftw(work->temporary, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* ---- asking podman -------------------------------------------------------------------------------------------- */

/*
 * "Error: ..." without what is known anyway: that word, and the image at its beginning. What podman says besides is
 * kept while there is nothing better.
 */
static void keep_error(struct work *work, const char *line)
{
	static const char error[] = "Error: ", source[] = "initializing source docker://";
	bool is_error = !strncmp(line, error, sizeof(error) - 1);
	size_t size = strlen(work->image);

	work->mismatch |= container_is_mismatch(line);
	if (!is_error && work->last[0])
		return;
	if (is_error)
		line += sizeof(error) - 1;
	if (!strncmp(line, source, sizeof(source) - 1) && !strncmp(line + sizeof(source) - 1, work->image, size) &&
	    !strncmp(line + sizeof(source) - 1 + size, ": ", 2))
		line += sizeof(source) - 1 + size + 2;
	snprintf(work->last, sizeof(work->last), "%s", line);
}

/* The end of "doing this: doing that: why" is nearest to the reason: as much of it as a result has room for. */
static const char *cause(const struct work *work)
{
	const char *text = work->last, *next;

	while (strlen(text) > CAUSE_MAX && (next = strstr(text, ": ")))
		text = next + 2;
	return text;
}

static void quiet_line(void *with, const char *line)
{
	keep_error(with, line);
}

static void digest_line(void *with, const char *line)
{
	struct work *work = with;

	if (!strcmp(line, work->image))
		work->known = true;
	keep_error(work, line);
}

static void pull_line(void *with, const char *line)
{
	say(strncmp(line, "Error: ", 7) ? EVENT_INFO : EVENT_WARNING, "%s", line);
	keep_error(with, line);
}

/* All that the puller has read: the nearest to what has come from the registry that can be had from outside. */
static uint64_t bytes_read(pid_t pid)
{
	char path[48], text[256] = "";
	unsigned long long n = 0;
	_cleanup_(cleanup_close) int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || sscanf(text, "rchar: %llu", &n) != 1)
		return 0;
	return n;
}

static void pull_tick(void *with, pid_t pid)
{
	struct work *work = with;
	int64_t elapsed_s = (run_now_ns() - work->started_ns) / SECOND_NS;
	struct report_progress progress = {.done = pid > 0 ? bytes_read(pid) : 0, .eta_s = UINT32_MAX};
	char text[320];

	progress.per_second = elapsed_s > 0 ? progress.done / (uint64_t)elapsed_s : 0;
	snprintf(text, sizeof(text), "pulls %s, attempt %u, %lld s of %lld s", work->name, work->attempt,
		 (long long)elapsed_s, (long long)work->deadline_s);
	send_report(REPORT_PROGRESS, EVENT_INFO, &progress, sizeof(progress), text);
}

struct ask {
	enum container_ask what;
	const char *authfile, *input;
	size_t input_size;
	int64_t deadline_ns;
	void (*line)(void *with, const char *line);
	void (*tick)(void *with, pid_t pid);
};

static int ask_podman(struct work *work, const struct ask *ask)
{
	struct container_words words;
	struct run run = {
		.environment = work->environment.words,
		.input = ask->input,
		.input_size = ask->input_size,
		.deadline_ns = ask->deadline_ns ? ask->deadline_ns : run_now_ns() + LOOK_S * SECOND_NS,
		.tick_ns = ask->tick ? PROGRESS_NS : 0,
		.line = ask->line ? ask->line : quiet_line,
		.tick = ask->tick,
		.with = work,
	};
	int r = -ENOMEM;

	container_command(ask->what, work->service, ask->authfile, &words);
	run.words = words.words;
	work->last[0] = '\0';
	if (!words.failed)
		r = run_program(&run);
	if (r < 0)
		snprintf(work->last, sizeof(work->last), "%s", r == -ETIMEDOUT ? "no answer in time" : error_words(-r));
	container_free(&words);
	return r;
}

/* Whether podman's storage has the image under exactly this digest. */
static bool has_image(struct work *work)
{
	const struct ask ask = {.what = CONTAINER_INSPECT, .line = digest_line};

	work->known = false;
	return ask_podman(work, &ask) == 0 && work->known;
}

/* ---- the registry's password ---------------------------------------------------------------------------------- */

static int left_ms(int64_t until)
{
	int64_t left = (until - run_now_ns()) / 1000000;

	return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

/* The artifact as PID 1 hands it over: a sealed memfd, now or as soon as somebody has given it. */
static int take_artifact(struct work *work, const char *name)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct {
		struct report_head head;
		char body[ARTIFACT_NAME_MAX];
	} answer;
	struct iovec part = {&answer, sizeof(answer)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	struct pollfd socket = {.fd = REPORT_FD, .events = POLLIN};
	struct cmsghdr *c;
	int fd;

	send_report(REPORT_TAKE, EVENT_INFO, "", 0, name);
	if (poll(&socket, 1, left_ms(work->deadline_ns)) <= 0)
		fail(STAGE_AGAIN, "login: nobody gave the artifact %s in time", name);
	if (recvmsg(REPORT_FD, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < (ssize_t)sizeof(answer.head))
		fail(STAGE_AGAIN, "login: no answer about the artifact %s", name);
	c = CMSG_FIRSTHDR(&message);
	if (answer.head.kind != REPORT_TAKEN || !c || c->cmsg_type != SCM_RIGHTS)
		fail(STAGE_AGAIN, "login: nobody gives the artifact %s", name);
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* The value at "a.b.c", a string; NULL: there is none. */
static struct json_object *value_at(struct json_object *document, const char *path)
{
	while (document && *path) {
		char key[256];
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key) || !json_object_is_type(document, json_type_object))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		document = key_member(document, key);
		path += path[n] == '.' ? n + 1 : n;
	}
	return json_object_is_type(document, json_type_string) ? document : NULL;
}

/* Into password, PASSWORD_MAX bytes; returns its size. What it was read from is wiped. */
static size_t find_password(int fd, const char *path, char *password)
{
	struct json_object *document, *value;
	struct stat st;
	char *text;
	size_t n;

	if (fstat(fd, &st) < 0 || st.st_size > (off_t)ARTIFACT_SIZE_MAX)
		fail(STAGE_AGAIN, "login: the artifact cannot be read");
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text || pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
		fail(STAGE_AGAIN, "login: the artifact cannot be read");
	document = json_tokener_parse(text);
	explicit_bzero(text, (size_t)st.st_size);
	free(text);
	value = value_at(document, path);
	n = value ? (size_t)json_object_get_string_len(value) : 0;
	if (!n || n >= PASSWORD_MAX)
		fail(STAGE_AGAIN, "login: the artifact has no password at %s", path);
	memcpy(password, json_object_get_string(value), n);
	/* json-c's own copy; the rest of the document goes with this process's memory, which is locked, at its exec. */
	explicit_bzero((char *)json_object_get_string(value), n);
	json_object_put(document);
	if (memchr(password, '\n', n) || memchr(password, '\r', n) || memchr(password, '\0', n))
		fail(STAGE_AGAIN, "login: the password at %s has more than one line", path);
	return n;
}

static bool log_in(struct work *work, const char *password, size_t size)
{
	const struct ask ask = {.what = CONTAINER_LOGIN, .authfile = AUTHFILE, .input = password, .input_size = size,
				.deadline_ns = work->deadline_ns};
	char reason[RUN_LINE_MAX];

	if (ask_podman(work, &ask) == 0)
		return true;
	snprintf(reason, sizeof(reason), "login to %.*s: %.400s", (int)container_registry(work->image), work->image,
		 work->last);
	memcpy(work->last, reason, sizeof(reason));
	say(EVENT_WARNING, "%s", work->last);
	return false;
}

/* ---- the image ------------------------------------------------------------------------------------------------ */

static bool pull_once(struct work *work, const char *password, size_t password_size)
{
	const char *authfile = password_size ? AUTHFILE : NULL;
	const struct ask ask = {.what = CONTAINER_PULL, .authfile = authfile, .deadline_ns = work->deadline_ns,
				.line = pull_line, .tick = pull_tick};
	bool done;

	work->attempt++;
	pull_tick(work, 0);
	if (password_size && !log_in(work, password, password_size))
		return false;
	done = ask_podman(work, &ask) == 0;
	unlink(AUTHFILE);
	if (work->mismatch)
		fail(STAGE_NEVER, "%s: the registry has something else under this digest: %.300s", work->name,
		     cause(work));
	return done;
}

static void wait_ns(int64_t ns)
{
	struct timespec time = {.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};

	nanosleep(&time, NULL);
}

static void pull(struct work *work)
{
	struct json_object *login = key_member(work->container, "login");
	int64_t backoff = BACKOFF_MIN_NS;
	char password[PASSWORD_MAX];
	size_t size = 0;

	if (login) {
		int fd = take_artifact(work, key_string(login, &login_keys, "artifact"));

		size = find_password(fd, json_object_get_string(key_member(login, "password")), password);
		close(fd);
	}
	if (key_member(work->container, "ca")) {
		make_directory(LOGIN "/ca", 0700);
		must(symlink(json_object_get_string(key_member(work->container, "ca")), LOGIN "/ca/ca.crt"), "ca");
	}
	while (!pull_once(work, password, size)) {
		if (run_now_ns() + backoff >= work->deadline_ns)
			fail(STAGE_AGAIN, "%s: not pulled in %lld s, %u attempts: %.300s", work->name,
			     (long long)work->deadline_s, work->attempt, cause(work));
		say(EVENT_WARNING, "attempt %u to pull %s failed: %.300s; again in %lld s", work->attempt, work->name,
		    work->last, (long long)(backoff / SECOND_NS));
		wait_ns(backoff);
		backoff = backoff * 2 < BACKOFF_MAX_NS ? backoff * 2 : BACKOFF_MAX_NS;
	}
	explicit_bzero(password, sizeof(password));
	if (!has_image(work))
		fail(STAGE_NEVER, "%s: what was pulled does not have this digest", work->name);
	say(EVENT_NOTICE, "pulled %s in %lld s", work->name,
	    (long long)((run_now_ns() - work->started_ns) / SECOND_NS));
}

static void remove_stale(struct work *work)
{
	const struct ask ask = {.what = CONTAINER_REMOVE};

	for (int i = 0; i < REMOVE_ATTEMPTS; i++)
		if (ask_podman(work, &ask) == 0)
			return;
	fail(STAGE_AGAIN, "the container of an earlier start cannot be removed: %.300s", cause(work));
}

/* ---- the launcher's end --------------------------------------------------------------------------------------- */

bool container_is(struct json_object *service)
{
	return key_member(service, "container") != NULL;
}

static void begin(struct work *work, struct json_object *service)
{
	struct json_object *containers = key_member(service, "containers");
	const char *podman = key_string(containers, &containers_keys, "podman"), *digest;

	work->service = service;
	work->container = key_member(service, "container");
	work->image = json_object_get_string(key_member(work->container, "image"));
	digest = work->image ? strstr(work->image, "@sha256:") : NULL;
	if (!digest)
		fail(STAGE_NEVER, "descriptor %d holds no container with an image", OPTIONS_FD);
	snprintf(work->name, sizeof(work->name), "%.*s", (int)(digest - work->image) + 8 + 12, work->image);
	if (access(podman, X_OK) < 0)
		fail(STAGE_NEVER, "%s: %s", podman, error_words(errno));
	work->started_ns = run_now_ns();
	work->deadline_s = (int64_t)key_number(work->container, &container_keys, "pull_deadline_s");
	work->deadline_ns = work->started_ns + work->deadline_s * SECOND_NS;
	container_environment(service, &work->environment);
	if (work->environment.failed)
		fail(STAGE_AGAIN, "environment: %s", error_words(ENOMEM));
}

_Noreturn void container_become(struct json_object *service)
{
	static struct work work;
	struct container_words words;

	/* A password may pass through: no core, no swap, nobody's ptrace. The exec ends all three. */
	prctl(PR_SET_DUMPABLE, 0);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	umask(0022);
	begin(&work, service);
	make_configuration();
	enter_namespace();
	make_temporary(&work);
	if (!has_image(&work))
		pull(&work);
	remove_stale(&work);
	umount2(LOGIN, MNT_DETACH);
	container_command(CONTAINER_RUN, service, NULL, &words);
	if (words.failed)
		fail(STAGE_AGAIN, "command: %s", error_words(ENOMEM));
	send_report(REPORT_STARTED, EVENT_INFO, "", 0, "");
	execve(words.words[0], words.words, work.environment.words);
	fail(STAGE_NEVER, "%s: %s", words.words[0], error_words(errno));
}
