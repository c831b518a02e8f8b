/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot stage: a database from an S3 store into a directory, whole or not at all. This process decides, keeps
 * plan and journal, and reports the progress; workers without privileges (worker.c) do all networking. After a power
 * cut the next attempt goes on from the journal; docs/snapshot.md says how.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "attempt.h"
#include "fetch.h"
#include "pick.h"
#include "plan.h"
#include "stages/lib/backoff.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"

#define PLANS_MAX          4	/* in one attempt; a snapshot that changes more often is not one */
#define SPACE_MARGIN       (UINT64_C(16) << 20)
#define CA_DEFAULT         "/etc/ssl/certs/ca-certificates.crt"

/* --- settings --- */

/* To whom what is made belongs if nobody is named: to root, if that is who starts the stage. */
static uid_t no_user = (uid_t)-1;

static int find_owner(const struct stage_context *context, struct snapshot_settings *s)
{
	const char *user = option_string(context, "user"), *group = option_string(context, "group");
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
	s->uid = p ? p->pw_uid : no_user;
	s->gid = g ? g->gr_gid : p ? p->pw_gid : (gid_t)no_user;
	return SNAPSHOT_GO_ON;
}

static int take_secrets(const struct stage_context *context, struct snapshot_settings *s)
{
	const char *paths[SNAPSHOT_SECRETS + 1] = {
		[ENDPOINT] = option_string(context, "endpoint"),
		[ACCESS_KEY] = option_string(context, "access_key"),
		[SECRET_KEY] = option_string(context, "secret_key"),
	};
	_cleanup_(cleanup_close) int fd = -1;
	const char *missing = NULL;
	int r;

	r = report_take("config", -1, &fd);
	if (r) {
		report_result("no configuration: %s",
			      r == -ENOENT ? "the config stage ended without one" : strerror(-r));
		return r == -ENOENT ? STAGE_NEVER : STAGE_AGAIN;
	}
	r = pick_strings(fd, paths, s->secrets, &missing);
	if (r == -ENOENT) {
		report_result("configuration has no string at \"%s\"", missing);
		return STAGE_NEVER;
	}
	if (r) {
		report_result("configuration not readable: %s", strerror(-r));
		return STAGE_AGAIN;
	}
	for (size_t i = 0; i < sizeof(s->secrets) / sizeof(*s->secrets); i++) {	/* the workers' */
		r = secret_share(&s->secrets[i]);
		if (r < 0) {
			report_result("sharing the store's keys with the workers failed: %s", strerror(-r));
			return STAGE_AGAIN;
		}
	}
	s->store.endpoint = (const char *)s->secrets[ENDPOINT].bytes;
	s->store.access_key = (const char *)s->secrets[ACCESS_KEY].bytes;
	s->store.secret_key = (const char *)s->secrets[SECRET_KEY].bytes;
	return SNAPSHOT_GO_ON;
}

/* What the table of options cannot express; also before the boot (struct stage). */
static const char *check(struct json_object *options)
{
	const char *prefix = option_string_of(options, "prefix"), *reason;
	struct json_object *required;

	/* Either would only make keys that no store has. */
	if (*prefix == '/' || (*prefix && prefix[strlen(prefix) - 1] == '/'))
		return "may not have a \"prefix\" that begins or ends with a slash";
	if (*option_string_of(options, "directory") != '/')
		return "may not have a \"directory\" that is not absolute";
	if (!json_object_object_get_ex(options, "required", &required))
		return NULL;
	for (size_t i = 0; i < json_object_array_length(required); i++) {
		const char *path = json_object_get_string(json_object_array_get_idx(required, i));

		if (manifest_judge_path(path, &reason) != MANIFEST_WANTED)
			return "may have only relative paths of files that are fetched in \"required\"";
	}
	return NULL;
}

static size_t read_list(const struct stage_context *context, const char *name, const char **ret, size_t room)
{
	size_t length, n = 0;
	struct json_object *array = option_array(context, name, &length);

	for (; n < length && n < room; n++)
		ret[n] = json_object_get_string(json_object_array_get_idx(array, n));
	return n;
}

static int read_settings(const struct stage_context *context, struct snapshot_settings *s)
{
	const char *ca = option_string(context, "ca"), *wrong = check(context->options);

	s->prefix = option_string(context, "prefix");
	s->latest = option_string(context, "latest");
	s->directory = option_string(context, "directory");
	s->store.bucket = option_string(context, "bucket");
	s->store.region = option_string(context, "region");
	s->store.ca_file = *ca ? ca : CA_DEFAULT;
	s->connections = (unsigned)option_integer(context, "connections");
	s->chunk_blocks = (uint64_t)option_integer(context, "chunk_mib");
	s->patience_ms = option_integer(context, "patience_s") * 1000;
	s->keep_any = !strcmp(option_string(context, "existing"), "any");
	s->rules.n_required = read_list(context, "required", s->rules.required, WHOLE_REQUIRED_MAX);
	s->rules.n_changes = read_list(context, "changes", s->rules.changes, WHOLE_CHANGES_MAX);
	if (wrong) {
		report_result("options: %s", wrong);
		return STAGE_NEVER;
	}
	return find_owner(context, s);
}

static void wipe_settings(struct snapshot_settings *s)
{
	for (int i = 0; i < SNAPSHOT_SECRETS; i++)
		secret_wipe(&s->secrets[i]);
}

static int check_space(struct snapshot *s)
{
	uint64_t needed, available;
	char n[32], a[32];
	int r = directory_space(&s->directory, &s->manifest, &needed, &available);

	if (r)
		return attempt_end_disk(r, s->directory.reason);
	if (!needed || needed + SPACE_MARGIN <= available)
		return SNAPSHOT_GO_ON;
	report_result("%s: snapshot %s needs %s more, %s are free", s->directory.path, s->manifest.name,
		      attempt_human(needed + SPACE_MARGIN, n), attempt_human(available, a));
	return STAGE_NEVER;
}

/* --- the stage --- */

/* Nothing is deleted, and nothing started on it, unless an operator says so. */
static int refuse_or_keep(const struct snapshot *s, const char *what, const char *mend)
{
	if (!s->settings->keep_any) {
		report_result("%s: %s%s; %s, or set \"existing\" to \"any\" to use it as it is",
			      s->directory.path, what, s->directory.reason, mend);
		return STAGE_NEVER;
	}
	report_event(EVENT_WARNING, "%s: %s%s; used as it is, since \"existing\" is \"any\"", s->directory.path,
		     what, s->directory.reason);
	report_skipped("%s is used as it is", s->directory.path);
	return STAGE_DONE;
}

/* The content of the directory decides: nothing to do, continue, or begin. */
static int begin(struct snapshot *s)
{
	enum directory_standing standing;
	char size[32];
	int r = directory_look(&s->directory, &standing);

	if (r)
		return attempt_end_disk(r, s->directory.reason);
	switch (standing) {
	case DIRECTORY_COMPLETE:
		report_fact("directory", "%s", s->directory.path);
		report_fact("snapshot", "%s", s->directory.reason);
		report_skipped("snapshot %s is complete", s->directory.reason);
		return STAGE_DONE;
	case DIRECTORY_POPULATED:
		report_event(EVENT_WARNING, "%s contains %s, which is not from a snapshot: directory left untouched",
			     s->directory.path, s->directory.reason);
		report_skipped("%s is already populated", s->directory.path);
		return STAGE_DONE;
	case DIRECTORY_HALF:
		return refuse_or_keep(s, "not a whole database: ",
				      "remove what is in the directory to fetch a snapshot");
	case DIRECTORY_LOST:
		return refuse_or_keep(s, "the snapshot was complete and is no longer: ",
				      "put it back, remove all that is in the directory to fetch a snapshot");
	case DIRECTORY_DAMAGED:
		report_result("%s holds %s, but the state in %s is invalid: remove one of the two",
			      s->directory.path, s->directory.reason, MANIFEST_STATE);
		return STAGE_NEVER;
	case DIRECTORY_PARTIAL:
		r = directory_load(&s->directory, &s->manifest);
		if (r)
			return attempt_end_disk(r, s->directory.reason);
		report_event(EVENT_INFO, "snapshot %s: resuming, %s already fetched", s->manifest.name,
			     attempt_human(s->manifest.done, size));
		return SNAPSHOT_GO_ON;
	default:
		return SNAPSHOT_GO_ON;
	}
}

/* A plan from other options (another prefix) is not ours to follow. */
static bool plan_fits(const struct snapshot *s)
{
	char source[S3_KEY_MAX + 1];

	snprintf(source, sizeof(source), "%s%s%s/", s->settings->prefix, *s->settings->prefix ? "/" : "",
		 s->manifest.name);
	return !strcmp(source, s->manifest.source);
}

static void tell_facts(const struct snapshot *s)
{
	report_fact("directory", "%s", s->settings->directory);
	report_fact("snapshot", "%s", s->manifest.name);
	report_fact("files", "%zu", s->manifest.count);
	report_fact("size_bytes", "%" PRIu64, s->manifest.total);
}

static int synchronise(struct snapshot *s)
{
	int r = SNAPSHOT_GO_ON;

	if (s->manifest.count && !plan_fits(s)) {
		report_event(EVENT_WARNING, "snapshot %s was started from another prefix; starting again",
			     s->manifest.name);
		manifest_free(&s->manifest);
	}
	/* Also a plan that was made before these rules. */
	s->replan = !s->manifest.count || whole_lacks(&s->manifest, &s->settings->rules);
	for (unsigned plans = 0; r == SNAPSHOT_GO_ON; ) {
		if (s->replan) {
			if (plans++ == PLANS_MAX) {
				report_result("snapshot %s keeps changing while it is fetched", s->manifest.name);
				return STAGE_AGAIN;
			}
			s->replan = false;
			r = snapshot_plan(s);
		}
		if (r == SNAPSHOT_GO_ON) {
			tell_facts(s);
			r = check_space(s);
		}
		if (r == SNAPSHOT_GO_ON)
			r = snapshot_fetch(s);
		if (r == SNAPSHOT_GO_ON && !s->replan)
			return blocks_complete(&s->manifest) ? SNAPSHOT_GO_ON : STAGE_AGAIN;
	}
	return r;
}

static int finish(struct snapshot *s)
{
	int64_t took_ms = time_now_ms() - s->began_ms;
	char size[32];
	int r = directory_finish(&s->directory, &s->manifest);

	if (r)
		return attempt_end_disk(r, s->directory.reason);
	report_result("snapshot %s: %zu files, %s in %" PRId64 ".%" PRId64 " s", s->manifest.name,
		      s->manifest.count, attempt_human(s->manifest.total, size), took_ms / 1000, took_ms % 1000 / 100);
	return STAGE_DONE;
}

static int sync_into_directory(const struct stage_context *context, struct snapshot_settings *settings)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	size_t shared_size = SNAPSHOT_CONNECTIONS * sizeof(*s->received);
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
	r = directory_open(&s->directory, settings->directory, settings->uid, settings->gid, &settings->rules);
	r = r ? attempt_end_disk(r, s->directory.reason) : begin(s);
	/* The configuration is waited for only where there is something to fetch. */
	if (r == SNAPSHOT_GO_ON)
		r = take_secrets(context, settings);
	if (r == SNAPSHOT_GO_ON)
		r = synchronise(s);
	if (r == SNAPSHOT_GO_ON)
		r = finish(s);
	fetch_end_workers(s);
	directory_close(&s->directory);
	manifest_free(&s->manifest);
	munmap(shared, shared_size);
	free(s);
	return r;
}

/* The directory may be new, and the folder above it belongs to others. */
static int prepare(struct stage_context *context)
{
	struct snapshot_settings settings = { 0 };
	struct directory d = DIRECTORY_CLOSED;
	int r;

	if (geteuid() == 0)
		no_user = 0;
	r = read_settings(context, &settings);
	if (r != SNAPSHOT_GO_ON)
		return r;
	r = directory_open(&d, settings.directory, settings.uid, settings.gid, &settings.rules);
	directory_close(&d);
	return r ? attempt_end_disk(r, d.reason) : STAGE_DONE;
}

static int run(struct stage_context *context)
{
	struct snapshot_settings settings = { 0 };
	int r = read_settings(context, &settings);

	if (r == SNAPSHOT_GO_ON)
		r = sync_into_directory(context, &settings);
	wipe_settings(&settings);
	return r;
}

static const char *const existings[] = { "whole", "any", NULL };

static const struct stage_option options[] = {
	{ .name = "endpoint", .type = OPTION_STRING, .minimum = 1, .maximum = 255,
	  .fallback = "rclone.bucket_endpoint" },
	{ .name = "access_key", .type = OPTION_STRING, .minimum = 1, .maximum = 255,
	  .fallback = "rclone.access_key_id" },
	{ .name = "secret_key", .type = OPTION_STRING, .minimum = 1, .maximum = 255,
	  .fallback = "rclone.secret_access_key" },
	{ .name = "region", .type = OPTION_STRING, .minimum = 1, .maximum = 40, .fallback = "auto" },
	{ .name = "bucket", .type = OPTION_STRING, .required = true, .minimum = 3, .maximum = 63 },
	{ .name = "prefix", .type = OPTION_STRING, .maximum = 512, .fallback = "" },
	{ .name = "latest", .type = OPTION_STRING, .minimum = 1, .maximum = 255,
	  .fallback = "latest_version.meta.txt" },
	{ .name = "directory", .type = OPTION_STRING, .required = true, .minimum = 2, .maximum = 1024,
	  .names = OPTION_NAMES_DIRECTORY },
	{ .name = "user", .type = OPTION_STRING, .maximum = 64, .fallback = "" },
	{ .name = "group", .type = OPTION_STRING, .maximum = 64, .fallback = "" },
	{ .name = "connections", .type = OPTION_INTEGER, .minimum = 1, .maximum = SNAPSHOT_CONNECTIONS,
	  .fallback = "4" },
	{ .name = "chunk_mib", .type = OPTION_INTEGER, .minimum = 1, .maximum = 1024, .fallback = "32" },
	{ .name = "patience_s", .type = OPTION_INTEGER, .minimum = 1, .maximum = 86400, .fallback = "600" },
	{ .name = "ca", .type = OPTION_STRING, .maximum = 1024, .names = OPTION_NAMES_READ, .fallback = CA_DEFAULT },
	/* Those of reth; what it does with its static files is in reth.c. */
	{ .name = "required", .type = OPTION_STRINGS, .maximum = WHOLE_REQUIRED_MAX, .fallback = "[\"db/mdbx.dat\"]" },
	{ .name = "changes", .type = OPTION_STRINGS, .maximum = WHOLE_CHANGES_MAX,
	  .fallback = "[\"reth.toml\", \"db/lock\", \"static_files/lock\", \"blobstore/*\", \"rocksdb/*\", \"exex/*\", "
		      "\"invalid_block_hooks/*\", \"txpool-transactions-backup.rlp\", \"logs/*\"]" },
	{ .name = "existing", .type = OPTION_STRING, .choices = existings, .fallback = "whole" },
	{ .name = NULL },
};

static const char *const takes[] = { "config", NULL };
static const char *const numbers[] = { "files", NULL };

static const struct stage_path paths[] = {
	{ .option = "directory", .access = STAGE_WRITES },
	{ .option = "ca", .access = STAGE_READS },
	{ .path = "/etc/passwd", .access = STAGE_READS },
	{ .path = "/etc/group", .access = STAGE_READS },
	{ .path = NULL },
};

const struct stage stage_snapshot = {
	.type = "snapshot",
	.takes = takes,
	.options = options,
	.numbers = numbers,
	.check = check,
	.deadline_s = 0,
	.once = true,
	.retry_limit = 0,
	/* The directory belongs to the database's user. */
	.user = "gantry-snapshot",
	.capabilities = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE,
	.calls = STAGE_CALLS_FETCH | STAGE_CALLS_FILES | STAGE_CALLS_WORKERS,
	.paths = paths,
	.prepare = prepare,
	.run = run,
};
