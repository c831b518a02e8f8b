/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements container.h: from the launcher to podman. Everything that may take long or fail temporarily (the registry)
 * happens here, under one deadline and with progress reports, before PID 1 counts the service as started; so
 * ready_deadline_s does not include the pull.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/event.h>
#include <gantry/report.h>
#include <gantry/stage.h>

#include "command.h"
#include "container.h"
#include "init/lib/member.h"
#include "init/lib/procfs.h"
#include "init/lib/report.h"
#include "init/lib/words.h"
#include "podman.h"
#include "resolv.h"
#include "storage.h"

#define SECOND_NS       1000000000LL
#define BACKOFF_MIN_NS  SECOND_NS
#define BACKOFF_MAX_NS  (30 * SECOND_NS)
#define PROGRESS_NS     (5 * SECOND_NS)
#define PASSWORD_MAX    4096
#define AUTHFILE        PODMAN_LOGIN "/auth.json"
#define LOOK_AFTER      3	/* failed attempts of a pull: the storage may be the reason */

struct work {
	struct podman podman;		/* the first member: line callbacks get a pointer to it */
	struct json_object *container;
	char name[160];			/* the image with the beginning of its digest, for messages */
	bool known;
	unsigned attempt;
	int64_t started_ns, deadline_ns, deadline_s;
};

/* ---- the image in podman's storage ---------------------------------------------------------------------------- */

static void digest_line(void *with, const char *line)
{
	struct work *work = with;

	if (!strcmp(line, work->podman.image))
		work->known = true;
	podman_keep_error(with, line);
}

/* The remains of an interrupted pull are as large as an image. */
static void make_temporary(const struct work *work)
{
	struct json_object *containers = key_member(work->podman.service, "containers");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/tmp/%s", json_object_get_string(key_member(containers, "storage")),
		 json_object_get_string(key_member(work->podman.service, "name")));
	podman_directory(path, 0700);
	podman_empty(path);
}

/* Whether podman's storage has the image under exactly this digest. Negative: podman cannot tell. */
static int ask_image(struct work *work)
{
	const struct podman_ask ask = {.what = CONTAINER_INSPECT, .line = digest_line};

	work->known = false;
	if (podman_ask(&work->podman, &ask) == 0)
		return work->known;
	return podman_lacks_image(&work->podman) ? 0 : -EIO;
}

static bool has_image(struct work *work)
{
	return ask_image(work) == 1;
}

/* The same after what damage there may be in the storage was mended. */
static bool has_good_image(struct work *work)
{
	struct podman *podman = &work->podman;
	int r;

	storage_begin(podman, work->deadline_ns);
	r = ask_image(work);
	if (r < 0 && !podman->late && storage_look(podman, work->deadline_ns, podman_cause(podman), true))
		r = ask_image(work);
	else if (r == 1 && storage_is_suspect(podman) &&
		 storage_look(podman, work->deadline_ns, "this container ended soon after each start", false))
		r = ask_image(work);
	return r == 1;
}

static void pull_line(void *with, const char *line)
{
	report_event(strncmp(line, "Error: ", 7) ? EVENT_INFO : EVENT_WARNING, "%s", line);
	podman_keep_error(with, line);
}

/* All bytes that podman has read: the best estimate of the download that is visible from outside. */
static uint64_t bytes_read(pid_t pid)
{
	unsigned long long n = 0;
	char text[256];

	return procfs_read(pid, "io", text, sizeof(text)) && sscanf(text, "rchar: %llu", &n) == 1 ? n : 0;
}

static void pull_tick(void *with, pid_t pid)
{
	struct work *work = with;
	int64_t elapsed_s = (run_now_ns() - work->started_ns) / SECOND_NS;
	uint64_t done = pid > 0 ? bytes_read(pid) : 0;

	report_progress(done, 0, elapsed_s > 0 ? done / (uint64_t)elapsed_s : 0, UINT32_MAX,
			"pulling %s: attempt %u, %lld s of %lld s", work->name, work->attempt, (long long)elapsed_s,
			(long long)work->deadline_s);
}

/* ---- the registry's password ---------------------------------------------------------------------------------- */

static int left_ms(int64_t until)
{
	int64_t left = (until - run_now_ns()) / 1000000;

	return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

/* The artifact as PID 1 hands it over: a sealed memfd, now or as soon as a stage has given it. */
static int take_artifact(struct work *work, const char *name)
{
	int fd, r = report_take(name, left_ms(work->deadline_ns), &fd);

	if (r == -ETIMEDOUT)
		podman_fail(STAGE_AGAIN, "login: no stage gave the artifact %s in time", name);
	if (r == -ENOENT)
		podman_fail(STAGE_AGAIN, "login: no stage gives the artifact %s any more", name);
	if (r < 0)
		podman_fail(STAGE_AGAIN, "login: taking the artifact %s failed: %s", name, error_words(-r));
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

/* Into password, PASSWORD_MAX bytes; returns its size. Other copies are wiped. */
static size_t find_password(int fd, const char *path, char *password)
{
	struct json_object *document, *value;
	struct stat st;
	char *text;
	size_t n;

	if (fstat(fd, &st) < 0 || st.st_size > (off_t)ARTIFACT_SIZE_MAX)
		podman_fail(STAGE_AGAIN, "login: reading the artifact failed");
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text || pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
		podman_fail(STAGE_AGAIN, "login: reading the artifact failed");
	document = json_tokener_parse(text);
	explicit_bzero(text, (size_t)st.st_size);
	free(text);
	value = value_at(document, path);
	n = value ? (size_t)json_object_get_string_len(value) : 0;
	if (!n || n >= PASSWORD_MAX)
		podman_fail(STAGE_AGAIN, "login: the artifact has no string at %s", path);
	memcpy(password, json_object_get_string(value), n);
	/* json-c's own copy; the rest of the document goes with this process's memory, which is locked, at its exec. */
	explicit_bzero((char *)json_object_get_string(value), n);
	json_object_put(document);
	if (memchr(password, '\n', n) || memchr(password, '\r', n) || memchr(password, '\0', n))
		podman_fail(STAGE_AGAIN, "login: the password at %s contains a newline or a NUL", path);
	return n;
}

static bool log_in(struct work *work, const char *password, size_t size)
{
	const struct podman_ask ask = {.what = CONTAINER_LOGIN, .argument = AUTHFILE, .input = password,
				       .input_size = size, .deadline_ns = work->deadline_ns};
	const char *image = work->podman.image;
	char reason[RUN_LINE_MAX];

	if (podman_ask(&work->podman, &ask) == 0)
		return true;
	snprintf(reason, sizeof(reason), "login to %.*s: %.400s", (int)container_registry(image), image,
		 work->podman.last);
	memcpy(work->podman.last, reason, sizeof(reason));
	report_event(EVENT_WARNING, "%s", work->podman.last);
	return false;
}

/* ---- the image ------------------------------------------------------------------------------------------------ */

static bool pull_once(struct work *work, const char *password, size_t password_size)
{
	const char *authfile = password_size ? AUTHFILE : NULL;
	const struct podman_ask ask = {.what = CONTAINER_PULL, .argument = authfile, .deadline_ns = work->deadline_ns,
				       .line = pull_line, .tick = pull_tick, .tick_ns = PROGRESS_NS};
	bool done;

	work->attempt++;
	pull_tick(work, 0);
	if (password_size && !log_in(work, password, password_size))
		return false;
	done = podman_ask(&work->podman, &ask) == 0;
	unlink(AUTHFILE);
	if (work->podman.mismatch)
		podman_fail(STAGE_NEVER, "%s: the registry's content does not match this digest: %.300s", work->name,
			    podman_cause(&work->podman));
	return done;
}

/* What may be mended here and is not the registry's: no room, or damage in the storage. */
static void mend_storage(struct work *work)
{
	struct podman *podman = &work->podman;
	char reason[RUN_LINE_MAX];

	memcpy(reason, podman->last, sizeof(reason));
	if (strstr(podman->last, "no space left on device"))
		(void)storage_remove_aside(podman, false);
	else if (!podman->late && (storage_is_to_blame(podman) || work->attempt == LOOK_AFTER))
		(void)storage_look(podman, work->deadline_ns, podman_cause(podman), storage_is_to_blame(podman));
	memcpy(podman->last, reason, sizeof(reason));
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
	char password[PASSWORD_MAX], previous[RUN_LINE_MAX] = "";
	size_t size = 0;
	int r;

	if (login) {
		int fd = take_artifact(work, json_object_get_string(key_member(login, "artifact")));

		size = find_password(fd, json_object_get_string(key_member(login, "password")), password);
		close(fd);
	}
	if (key_member(work->container, "ca")) {
		podman_directory(PODMAN_LOGIN "/ca", 0700);
		if (symlink(json_object_get_string(key_member(work->container, "ca")), PODMAN_LOGIN "/ca/ca.crt") < 0)
			podman_fail(STAGE_AGAIN, "ca: %s", error_words(errno));
	}
	r = storage_pull_begins(&work->podman);
	if (r < 0)
		podman_fail(STAGE_AGAIN, "podman's storage: %s", error_words(-r));
	while (!pull_once(work, password, size)) {
		mend_storage(work);
		/* An attempt that the deadline cut off knows no reason; the one before may. */
		if (work->podman.late && previous[0])
			memcpy(work->podman.last, previous, sizeof(previous));
		memcpy(previous, work->podman.last, sizeof(previous));
		if (run_now_ns() + backoff >= work->deadline_ns)
			podman_fail(STAGE_AGAIN, "%s: pull failed, %u attempt%s in %lld s: %.300s", work->name,
				    work->attempt, work->attempt == 1 ? "" : "s", (long long)work->deadline_s,
				    podman_cause(&work->podman));
		report_event(EVENT_WARNING, "attempt %u to pull %s failed: %.300s; again in %lld s", work->attempt,
			   work->name, work->podman.last, (long long)(backoff / SECOND_NS));
		wait_ns(backoff);
		backoff = backoff * 2 < BACKOFF_MAX_NS ? backoff * 2 : BACKOFF_MAX_NS;
	}
	explicit_bzero(password, sizeof(password));
	if (!has_image(work))
		podman_fail(STAGE_NEVER, "%s: the pulled image does not have this digest", work->name);
	/* podman's database is durable by now, what it describes is not: a power cut would leave empty files. */
	r = storage_pull_ends(&work->podman);
	if (r < 0)
		podman_fail(STAGE_AGAIN, "%s: writing it to the disk failed: %s", work->name, error_words(-r));
	report_event(EVENT_NOTICE, "pulled %s in %lld s", work->name,
		     (long long)((run_now_ns() - work->started_ns) / SECOND_NS));
}

/* ---- the launcher's end --------------------------------------------------------------------------------------- */

bool container_is(struct json_object *service)
{
	return key_member(service, "container") != NULL;
}

static void begin(struct work *work, struct json_object *service)
{
	const char *digest;
	int size;

	podman_begin(&work->podman, service);
	work->container = key_member(service, "container");
	digest = work->podman.image ? strstr(work->podman.image, "@sha256:") : NULL;
	size = digest ? (int)(digest - work->podman.image) + 8 + 12 : 0;
	if (!size)
		podman_fail(STAGE_NEVER, "descriptor %d does not hold a container with an image", OPTIONS_FD);
	snprintf(work->name, sizeof(work->name), "%.*s", size, work->podman.image);
	work->started_ns = run_now_ns();
	work->deadline_s = json_object_get_int64(key_member(work->container, "pull_deadline_s"));
	work->deadline_ns = work->started_ns + work->deadline_s * SECOND_NS;
}

/* podman does not get rid of a container if what describes it is lost. */
static bool remove_again(struct work *work)
{
	struct podman *podman = &work->podman;

	if (podman->late || !storage_look(podman, work->deadline_ns, podman_cause(podman), true))
		return false;
	if (!has_image(work))
		pull(work);
	return podman_remove(podman) == 0;
}

static const char *find_init(const struct work *work)
{
	if (!container_has_init(work->container))
		return NULL;
	if (podman_has_own_path(&work->podman))
		return work->podman.own;
	report_event(EVENT_WARNING, "%s is not Gantry's binary any more: the container has no init", work->podman.own);
	return NULL;
}

_Noreturn void container_become(struct json_object *service)
{
	static struct work work;
	struct container_words words;

	/* A password may be in memory: no core dump, no swap, no ptrace. The exec ends all three. */
	prctl(PR_SET_DUMPABLE, 0);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	umask(0022);
	begin(&work, service);
	podman_lock(&work.podman, true);
	if (!strcmp(json_object_get_string(key_member(work.container, "network")), "host"))
		resolv_follow(&work.podman);
	make_temporary(&work);
	if (!has_good_image(&work))
		pull(&work);
	if (podman_remove(&work.podman) < 0 && !remove_again(&work))
		podman_fail(STAGE_AGAIN, "removing the container of an earlier start failed: %.300s",
			    podman_cause(&work.podman));
	umount2(PODMAN_LOGIN, MNT_DETACH);
	container_command(CONTAINER_RUN, service, find_init(&work), &words);
	if (words.failed)
		podman_fail(STAGE_AGAIN, "command: %s", error_words(ENOMEM));
	storage_starts(&work.podman);
	report_send(REPORT_STARTED, NULL, 0);
	execve(words.words[0], words.words, work.podman.environment.words);
	podman_fail(STAGE_NEVER, "%s: %s", words.words[0], error_words(errno));
}
