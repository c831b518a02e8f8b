/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot stage: a database from an S3 store into a directory, whole or not at all. This process decides, keeps
 * plan and journal, and tells the progress; workers without privileges (snapshot-worker.c) do all that touches the
 * network. Cut anywhere, the next attempt goes on from the journal; docs/snapshot.md says how.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "lib/backoff.h"
#include "lib/options.h"
#include "lib/pick.h"
#include "lib/report.h"
#include "snapshot-directory.h"
#include "snapshot-worker.h"

#define CONNECTIONS_MAX    64
#define PATIENCE_S         600	/* without one new byte, an attempt ends */
#define TROUBLE_S          30	/* between two events about a store that fails */
#define JOURNAL_SYNC_S     5
#define PLANS_MAX          4	/* in one attempt; a snapshot that changes more often is not one */
#define WORKER_DEATHS_MAX  8
#define SPACE_MARGIN       (UINT64_C(16) << 20)
#define CA_DEFAULT         "/etc/ssl/certs/ca-certificates.crt"

enum secret_name { ENDPOINT, ACCESS_KEY, SECRET_KEY, SECRETS };

struct settings {
	const char *prefix, *latest, *directory;
	uid_t uid;
	gid_t gid;
	unsigned connections;
	uint64_t chunk_blocks;
	int64_t patience_ms;
	struct secret secrets[SECRETS];
	struct s3_store store;
};

struct sync {
	const struct settings *settings;
	struct directory directory;
	struct manifest manifest;
	struct worker workers[CONNECTIONS_MAX];
	_Atomic uint64_t *received;		/* one for each worker */
	unsigned deaths;
	int64_t began_ms, grew_ms, troubled_ms, journal_ms;
	unsigned troubles;
	uint64_t shown, at_begin, last_bytes;
	double per_second;
	bool replan;
	char trouble[S3_ERROR_MAX];
};

/* Ends of one step: go on, or how the attempt ends (enum stage_result, with the reason reported). */
#define GO_ON (-1)

/* --- settings --------------------------------------------------------------------------------------------- */

static int find_owner(const struct stage_context *context, struct settings *s)
{
	const char *user = option_string(context, "user", ""), *group = option_string(context, "group", "");
	struct passwd *p = *user ? getpwnam(user) : NULL;
	struct group *g = *group ? getgrnam(group) : NULL;

	if (*user && !p) {
		report_result("user \"%s\" does not exist", user);
		return STAGE_NEVER;
	}
	if (*group && !g) {
		report_result("group \"%s\" does not exist", group);
		return STAGE_NEVER;
	}
	s->uid = p ? p->pw_uid : (uid_t)-1;
	s->gid = g ? g->gr_gid : p ? p->pw_gid : (gid_t)-1;
	return GO_ON;
}

static int take_secrets(const struct stage_context *context, struct settings *s)
{
	const char *paths[SECRETS + 1] = {
		[ENDPOINT] = option_string(context, "endpoint", "rclone.bucket_endpoint"),
		[ACCESS_KEY] = option_string(context, "access_key", "rclone.access_key_id"),
		[SECRET_KEY] = option_string(context, "secret_key", "rclone.secret_access_key"),
	};
	_cleanup_(cleanup_close) int fd = -1;
	const char *missing = NULL;
	int r;

	r = report_take("config", -1, &fd);
	if (r) {
		report_result("no configuration: %s", r == -ENOENT ? "its stage ended without one" : strerror(-r));
		return r == -ENOENT ? STAGE_NEVER : STAGE_AGAIN;
	}
	r = pick_strings(fd, paths, s->secrets, &missing);
	if (r == -ENOENT) {
		report_result("configuration has no text at \"%s\"", missing);
		return STAGE_NEVER;
	}
	if (r) {
		report_result("configuration not readable: %s", strerror(-r));
		return STAGE_AGAIN;
	}
	s->store.endpoint = (const char *)s->secrets[ENDPOINT].bytes;
	s->store.access_key = (const char *)s->secrets[ACCESS_KEY].bytes;
	s->store.secret_key = (const char *)s->secrets[SECRET_KEY].bytes;
	return GO_ON;
}

static int read_settings(const struct stage_context *context, struct settings *s)
{
	const char *ca = option_string(context, "ca", "");

	s->prefix = option_string(context, "prefix", "");
	s->latest = option_string(context, "latest", "latest_version.meta.txt");
	s->directory = option_string(context, "directory", NULL);
	s->store.bucket = option_string(context, "bucket", NULL);
	s->store.region = option_string(context, "region", "auto");
	s->store.ca_file = *ca ? ca : CA_DEFAULT;
	s->connections = (unsigned)option_integer(context, "connections", 4);
	s->chunk_blocks = (uint64_t)option_integer(context, "chunk_mib", 32);
	s->patience_ms = option_integer(context, "patience_s", PATIENCE_S) * 1000;
	return find_owner(context, s);
}

static void wipe_settings(struct settings *s)
{
	for (int i = 0; i < SECRETS; i++)
		secret_wipe(&s->secrets[i]);
}

/* --- telling ---------------------------------------------------------------------------------------------- */

static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };

static unsigned unit_of(uint64_t bytes)
{
	unsigned unit = 0;

	while (unit < 4 && bytes >= UINT64_C(10240) << (10 * unit))
		unit++;
	return unit;
}

static const char *human(uint64_t bytes, char ret[static 32])
{
	unsigned unit = unit_of(bytes);

	snprintf(ret, 32, "%" PRIu64 " %s", bytes >> (10 * unit), units[unit]);
	return ret;
}

/* What is in the files: what the journal has, and what the workers are in the middle of. */
static uint64_t bytes_here(const struct sync *s)
{
	uint64_t bytes = s->manifest.done;

	for (unsigned i = 0; i < s->settings->connections; i++)
		if (s->workers[i].busy)
			bytes += atomic_load_explicit(&s->received[i], memory_order_relaxed);
	return bytes < s->manifest.total ? bytes : s->manifest.total;
}

static void tell_progress(struct sync *s, int64_t elapsed_ms)
{
	uint64_t here = bytes_here(s), total = s->manifest.total;
	unsigned unit = unit_of(total);
	uint32_t eta_s = UINT32_MAX;

	if (elapsed_ms > 0) {
		double now = here > s->last_bytes ? (double)(here - s->last_bytes) * 1000 / (double)elapsed_ms : 0;

		/* Smoothed over some ten seconds; the first value as it is. */
		s->per_second = s->per_second > 0 ? 0.8 * s->per_second + 0.2 * now : now;
	}
	s->last_bytes = here;
	if (s->per_second >= 1 && (double)(total - here) / s->per_second < 1e9)
		eta_s = (uint32_t)((double)(total - here) / s->per_second + 0.5);
	report_progress(here, total, (uint64_t)s->per_second, eta_s, "%" PRIu64 " of %" PRIu64 " %s",
			here >> (10 * unit), total >> (10 * unit), units[unit]);
}

/* A store that fails is told at once, and then now and again. */
static void tell_trouble(struct sync *s, const char *text)
{
	int64_t now = time_now_ms();

	memcpy(s->trouble, text, sizeof(s->trouble));
	s->troubles++;
	if (s->troubled_ms && now - s->troubled_ms < TROUBLE_S * 1000)
		return;
	if (s->troubled_ms && s->troubles > 1)
		report_event(EVENT_WARNING, "%s; trying again (%u failures since the last report)", text, s->troubles);
	else
		report_event(EVENT_WARNING, "%s; trying again", text);
	s->troubled_ms = now;
	s->troubles = 0;
}

static int end_refused(const struct worker_answer *a)
{
	report_result("%s", a->text);
	/* Paths that no honest store would list, and what is wrong on our side; all else may be mended at the store. */
	return a->result == -EPERM || a->result == -EINVAL ? STAGE_NEVER : STAGE_AGAIN;
}

static int end_disk(int result, const char *text)
{
	report_result("%s", text);
	switch (result) {
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
	case -EROFS:
	case -EEXIST:
	case -EPERM:
	case -EXDEV:
	case -ENOTDIR:
	case -ELOOP:
		return STAGE_NEVER;
	default:
		return STAGE_AGAIN;
	}
}

/* --- planning --------------------------------------------------------------------------------------------- */

/* Waits for the end of a planning job; troubles on the way are told, until patience is out. */
static int await_plan(struct sync *s, struct worker *worker, struct worker_answer *ret)
{
	int64_t until = time_now_ms() + s->settings->patience_ms;

	for (;;) {
		struct pollfd wait = { .fd = worker->socket, .events = POLLIN };
		int64_t left = until - time_now_ms();
		int r;

		if (left <= 0 || poll(&wait, 1, (int)left) == 0) {
			report_result("no plan for %" PRId64 " s: %s", s->settings->patience_ms / 1000,
				      *s->trouble ? s->trouble : "store does not answer");
			return STAGE_AGAIN;
		}
		r = worker_hear(worker, ret);
		if (r == -EAGAIN)
			continue;
		if (r) {
			report_result("planning worker ended: %s", strerror(-r));
			return STAGE_AGAIN;
		}
		if (ret->kind != ANSWER_TROUBLE)
			return GO_ON;
		tell_trouble(s, ret->text);
	}
}

static int read_plan(int fd, struct manifest *ret, char reason[static S3_ERROR_MAX])
{
	struct stat st;
	void *text;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || st.st_size > MANIFEST_SIZE_MAX)
		return -EBADMSG;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return -errno;
	r = manifest_parse(text, (size_t)st.st_size, ret, reason);
	munmap(text, (size_t)st.st_size);
	return r;
}

/*
 * Has a worker list the store, and checks what it wrote once it is dead and can write no more. `name`: that
 * snapshot again, or NULL for the newest. -ENOENT in *ret_missing: there is no such snapshot.
 */
static int make_plan(struct sync *s, const char *name, struct manifest *ret, bool *ret_missing)
{
	const struct settings *settings = s->settings;
	struct worker_task task = {
		.store = &settings->store, .prefix = settings->prefix, .latest = settings->latest,
	};
	_cleanup_(cleanup_close) int fd = memfd_create("plan", MFD_CLOEXEC);
	struct worker_job job = { .kind = JOB_PLAN };
	char reason[S3_ERROR_MAX] = "";
	struct worker_answer a;
	struct worker worker = { 0 };
	int r;

	*ret_missing = false;
	snprintf(job.name, sizeof(job.name), "%s", name ? name : "");
	r = fd < 0 ? -errno : worker_start(&task, &s->received[0], &worker);
	if (!r)
		r = worker_give(&worker, &job, fd);
	if (r) {
		worker_end(&worker, NULL, NULL);
		report_result("worker not started: %s", strerror(-r));
		return STAGE_AGAIN;
	}
	r = await_plan(s, &worker, &a);
	worker_end(&worker, NULL, NULL);
	if (r != GO_ON)
		return r;
	if (a.kind == ANSWER_CHANGED) {
		report_result("%s", a.text);
		*ret_missing = true;
		return STAGE_AGAIN;
	}
	if (a.kind != ANSWER_DONE)
		return end_refused(&a);
	r = read_plan(fd, ret, reason);
	if (r) {
		report_result("plan refused: %s", *reason ? reason : strerror(-r));
		return r == -ENOMEM ? STAGE_AGAIN : STAGE_NEVER;
	}
	ret->left_out = a.left_out;
	return GO_ON;
}

static int adopt_plan(struct sync *s, struct manifest *plan)
{
	char size[32];
	int r;

	manifest_adopt(plan, &s->manifest);
	manifest_free(&s->manifest);
	s->manifest = *plan;
	*plan = (struct manifest){ 0 };
	r = directory_adopt(&s->directory, &s->manifest);
	if (r)
		return end_disk(r, s->directory.reason);
	report_event(EVENT_INFO, "snapshot %s: %zu files, %s", s->manifest.name, s->manifest.count,
		     human(s->manifest.total, size));
	if (s->manifest.left_out)
		report_event(EVENT_DEBUG, "%u node-local files of the snapshot are left out", s->manifest.left_out);
	return GO_ON;
}

/* The store no longer has what the plan says: the same snapshot again if it is still there, else the newest. */
static int plan_again(struct sync *s)
{
	struct manifest plan = { 0 };
	bool missing = false;
	int r = GO_ON;

	if (*s->manifest.name)
		r = make_plan(s, s->manifest.name, &plan, &missing);
	if (!*s->manifest.name || missing) {
		if (missing)
			report_event(EVENT_WARNING, "snapshot %s is gone from the store; taking the newest",
				     s->manifest.name);
		r = make_plan(s, NULL, &plan, &missing);
	}
	return r == GO_ON ? adopt_plan(s, &plan) : r;
}

/* --- fetching --------------------------------------------------------------------------------------------- */

static int start_run(struct sync *s, struct worker *worker, const struct manifest_run *run)
{
	struct worker_job job = { .kind = JOB_FETCH, .run = *run };
	_cleanup_(cleanup_close) int fd = directory_open_part(&s->directory, &s->manifest, run->file);
	int r;

	if (fd < 0)
		return end_disk(fd, s->directory.reason);
	r = worker_give(worker, &job, fd);
	/* One that is gone is noticed at its socket; it has the run as if it had begun. */
	worker->busy = true;
	worker->run = *run;
	return !r || r == -EPIPE ? GO_ON : STAGE_AGAIN;
}

/* Gives every idle worker something to do, and starts one where there is none. */
static int feed(struct sync *s)
{
	struct worker_task task = { .store = &s->settings->store, .manifest = &s->manifest };

	for (unsigned i = 0; i < s->settings->connections; i++) {
		struct worker *worker = &s->workers[i];
		struct manifest_run run;
		int r;

		if (worker->busy || s->replan)
			continue;
		if (!manifest_take(&s->manifest, s->settings->chunk_blocks, &run))
			return GO_ON;
		r = worker->pid ? 0 : worker_start(&task, &s->received[i], worker);
		if (r) {
			report_result("worker not started: %s", strerror(-r));
			return STAGE_AGAIN;
		}
		r = start_run(s, worker, &run);
		if (r != GO_ON)
			return r;
	}
	return GO_ON;
}

static int hear_done(struct sync *s, struct worker *worker)
{
	int r;

	worker->busy = false;
	manifest_mark(&s->manifest, &worker->run);
	r = directory_record(&s->directory, &worker->run);
	return r ? end_disk(r, s->directory.reason) : GO_ON;
}

static int hear(struct sync *s, struct worker *worker)
{
	struct worker_answer a;
	int r, status;
	bool signalled;

	r = worker_hear(worker, &a);
	if (r == -EAGAIN)
		return GO_ON;
	if (r || !worker->busy) {
		bool had_run = worker->busy;
		struct manifest_run run = worker->run;

		worker_end(worker, &status, &signalled);
		if (had_run)
			manifest_give_back(&s->manifest, &run);
		report_event(EVENT_WARNING, "worker %s %d", r == -EBADMSG ? "answered nonsense; ended by" :
			     signalled ? "ended by signal" : "ended with status", status);
		if (++s->deaths <= WORKER_DEATHS_MAX)
			return GO_ON;
		report_result("workers ended %u times", s->deaths);
		return STAGE_AGAIN;
	}
	switch (a.kind) {
	case ANSWER_DONE:
		return hear_done(s, worker);
	case ANSWER_TROUBLE:
		tell_trouble(s, a.text);
		return GO_ON;
	case ANSWER_CHANGED:
		worker->busy = false;
		manifest_give_back(&s->manifest, &worker->run);
		report_event(EVENT_WARNING, "%s; listing again", a.text);
		s->replan = true;
		return GO_ON;
	case ANSWER_DISK: {
		char text[S3_ERROR_MAX];

		snprintf(text, sizeof(text), "%s: writing %.160s: %.100s", s->directory.path,
			 s->manifest.files[worker->run.file].path, a.text);
		return end_disk(a.result, text);
	}
	default:
		return end_refused(&a);
	}
}

static void end_workers(struct sync *s)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		worker_end(&s->workers[i], NULL, NULL);
}

static bool any_busy(const struct sync *s)
{
	for (unsigned i = 0; i < s->settings->connections; i++)
		if (s->workers[i].busy)
			return true;
	return false;
}

static int tick(struct sync *s, int64_t *last_ms)
{
	int64_t now = time_now_ms();
	uint64_t before = s->last_bytes;
	int r;

	tell_progress(s, now - *last_ms);
	*last_ms = now;
	if (s->last_bytes > before)
		s->grew_ms = now;
	if (now - s->journal_ms >= JOURNAL_SYNC_S * 1000) {
		s->journal_ms = now;
		r = directory_sync_journal(&s->directory);
		if (r)
			return end_disk(r, s->directory.reason);
	}
	if (now - s->grew_ms < s->settings->patience_ms)
		return GO_ON;
	report_result("nothing received for %" PRId64 " s: %s", s->settings->patience_ms / 1000,
		      *s->trouble ? s->trouble : "store does not answer");
	return STAGE_AGAIN;
}

/* Until everything is here (GO_ON), the plan no longer holds (GO_ON and s->replan), or the attempt ends. */
static int fetch_loop(struct sync *s, int timer)
{
	struct pollfd wait[1 + CONNECTIONS_MAX];
	int64_t last_ms = time_now_ms();
	int r = feed(s);

	while (r == GO_ON && any_busy(s)) {
		uint64_t expirations;

		wait[0] = (struct pollfd){ .fd = timer, .events = POLLIN };
		for (unsigned i = 0; i < s->settings->connections; i++)
			wait[1 + i] = (struct pollfd){
				.fd = s->workers[i].pid ? s->workers[i].socket : -1, .events = POLLIN,
			};
		if (poll(wait, 1 + s->settings->connections, -1) < 0 && errno != EINTR) {
			report_result("poll: %s", strerror(errno));
			return STAGE_AGAIN;
		}
		if (read(timer, &expirations, sizeof(expirations)) > 0)
			r = tick(s, &last_ms);
		for (unsigned i = 0; i < s->settings->connections && r == GO_ON; i++)
			if (wait[1 + i].revents)
				r = hear(s, &s->workers[i]);
		if (r == GO_ON)
			r = feed(s);
	}
	return r;
}

static int fetch(struct sync *s)
{
	_cleanup_(cleanup_close) int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	struct itimerspec every = { .it_interval.tv_sec = 1, .it_value.tv_sec = 1 };
	int r;

	if (timer < 0 || timerfd_settime(timer, 0, &every, NULL) < 0) {
		report_result("timer: %s", strerror(errno));
		return STAGE_AGAIN;
	}
	s->grew_ms = s->journal_ms = time_now_ms();
	s->last_bytes = s->manifest.done;
	tell_progress(s, 0);
	r = fetch_loop(s, timer);
	/* Workers hold the manifest as it was when they were forked. */
	end_workers(s);
	if (r == GO_ON)
		tell_progress(s, 0);
	else
		(void)directory_sync_journal(&s->directory);
	return r;
}

static int check_space(struct sync *s)
{
	uint64_t needed, available;
	char n[32], a[32];
	int r = directory_space(&s->directory, &s->manifest, &needed, &available);

	if (r)
		return end_disk(r, s->directory.reason);
	if (!needed || needed + SPACE_MARGIN <= available)
		return GO_ON;
	report_result("%s: snapshot %s needs %s more, %s are free", s->directory.path, s->manifest.name,
		      human(needed + SPACE_MARGIN, n), human(available, a));
	return STAGE_NEVER;
}

/* --- the stage -------------------------------------------------------------------------------------------- */

/* What is in the directory decides: nothing to do, go on, or begin. */
static int begin(struct sync *s)
{
	enum directory_standing standing;
	char size[32];
	int r = directory_look(&s->directory, &standing);

	if (r)
		return end_disk(r, s->directory.reason);
	switch (standing) {
	case DIRECTORY_COMPLETE:
		report_skipped("snapshot %s is complete", s->directory.reason);
		return STAGE_DONE;
	case DIRECTORY_POPULATED:
		report_event(EVENT_WARNING, "%s holds %s, which no snapshot of ours put there: left alone",
			     s->directory.path, s->directory.reason);
		report_skipped("%s is already populated", s->directory.path);
		return STAGE_DONE;
	case DIRECTORY_DAMAGED:
		report_result("%s holds %s, but its state in %s makes no sense: remove the one or the other",
			      s->directory.path, s->directory.reason, MANIFEST_STATE);
		return STAGE_NEVER;
	case DIRECTORY_PARTIAL:
		r = directory_load(&s->directory, &s->manifest);
		if (r)
			return end_disk(r, s->directory.reason);
		report_event(EVENT_INFO, "snapshot %s: going on, %s are here", s->manifest.name,
			     human(s->manifest.done, size));
		return GO_ON;
	default:
		return GO_ON;
	}
}

/* A plan from other options (another prefix) is not ours to follow. */
static bool plan_fits(const struct sync *s)
{
	char source[S3_KEY_MAX + 1];

	snprintf(source, sizeof(source), "%s%s%s/", s->settings->prefix, *s->settings->prefix ? "/" : "",
		 s->manifest.name);
	return !strcmp(source, s->manifest.source);
}

static int synchronise(struct sync *s)
{
	int r = GO_ON;

	if (s->manifest.count && !plan_fits(s)) {
		report_event(EVENT_WARNING, "snapshot %s was begun from elsewhere; beginning anew", s->manifest.name);
		manifest_free(&s->manifest);
	}
	s->replan = !s->manifest.count;
	for (unsigned plans = 0; r == GO_ON; ) {
		if (s->replan) {
			if (plans++ == PLANS_MAX) {
				report_result("snapshot %s changes while it is fetched", s->manifest.name);
				return STAGE_AGAIN;
			}
			s->replan = false;
			r = plan_again(s);
		}
		if (r == GO_ON)
			r = check_space(s);
		if (r == GO_ON)
			r = fetch(s);
		if (r == GO_ON && !s->replan)
			return manifest_complete(&s->manifest) ? GO_ON : STAGE_AGAIN;
	}
	return r;
}

static int finish(struct sync *s)
{
	int64_t took_ms = time_now_ms() - s->began_ms;
	char size[32];
	int r = directory_finish(&s->directory, &s->manifest);

	if (r)
		return end_disk(r, s->directory.reason);
	report_result("snapshot %s: %zu files, %s in %" PRId64 ".%" PRId64 " s", s->manifest.name,
		      s->manifest.count, human(s->manifest.total, size), took_ms / 1000, took_ms % 1000 / 100);
	return STAGE_DONE;
}

static int sync_into_directory(const struct stage_context *context, struct settings *settings)
{
	struct sync *s = calloc(1, sizeof(*s));
	size_t shared_size = CONNECTIONS_MAX * sizeof(*s->received);
	void *shared = mmap(NULL, shared_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int r;

	if (!s || shared == MAP_FAILED) {
		free(s);
		report_result("out of memory");
		return STAGE_AGAIN;
	}
	s->settings = settings;
	s->received = shared;
	s->began_ms = time_now_ms();
	r = directory_open(&s->directory, settings->directory, settings->uid, settings->gid);
	r = r ? end_disk(r, s->directory.reason) : begin(s);
	/* The configuration is waited for only where there is something to fetch. */
	if (r == GO_ON)
		r = take_secrets(context, settings);
	if (r == GO_ON)
		r = synchronise(s);
	if (r == GO_ON)
		r = finish(s);
	end_workers(s);
	directory_close(&s->directory);
	manifest_free(&s->manifest);
	munmap(shared, shared_size);
	free(s);
	return r;
}

static int run(struct stage_context *context)
{
	struct settings settings = { 0 };
	int r = read_settings(context, &settings);

	if (r == GO_ON)
		r = sync_into_directory(context, &settings);
	wipe_settings(&settings);
	return r;
}

static const struct stage_option options[] = {
	{ .name = "endpoint", .type = OPTION_STRING, .minimum = 1, .maximum = 255 },
	{ .name = "access_key", .type = OPTION_STRING, .minimum = 1, .maximum = 255 },
	{ .name = "secret_key", .type = OPTION_STRING, .minimum = 1, .maximum = 255 },
	{ .name = "region", .type = OPTION_STRING, .minimum = 1, .maximum = 40 },
	{ .name = "bucket", .type = OPTION_STRING, .required = true, .minimum = 3, .maximum = 63 },
	{ .name = "prefix", .type = OPTION_STRING, .maximum = 512 },
	{ .name = "latest", .type = OPTION_STRING, .minimum = 1, .maximum = 255 },
	{ .name = "directory", .type = OPTION_STRING, .required = true, .minimum = 2, .maximum = 1024 },
	{ .name = "user", .type = OPTION_STRING, .maximum = 64 },
	{ .name = "group", .type = OPTION_STRING, .maximum = 64 },
	{ .name = "connections", .type = OPTION_INTEGER, .minimum = 1, .maximum = CONNECTIONS_MAX },
	{ .name = "chunk_mib", .type = OPTION_INTEGER, .minimum = 1, .maximum = 1024 },
	{ .name = "patience_s", .type = OPTION_INTEGER, .minimum = 1, .maximum = 86400 },
	{ .name = "ca", .type = OPTION_STRING, .maximum = 1024 },
	{ .name = NULL },
};

static const char *const takes[] = { "config", NULL };

const struct stage stage_snapshot = {
	.type = "snapshot",
	.takes = takes,
	.options = options,
	.deadline_s = 0,
	.retry_limit = 0,
	/*
	 * The directory belongs to the database's user; workers become nobody, and to kill them, or to have them
	 * killed by the kernel when this process dies, takes CAP_KILL.
	 */
	.capabilities = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |
			UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID,
	.run = run,
};
