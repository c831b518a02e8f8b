/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the store's list to the directory's plan. The worker that reads the list writes a manifest into a memfd; it is
 * killed before the memfd is read, and the manifest's own parser is the only one that runs with privileges.
 */
#define _GNU_SOURCE
#include "plan.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <gantry/cleanup.h>

#include "progress.h"
#include "stages/lib/backoff.h"
#include "stages/lib/printable.h"
#include "stages/lib/report.h"

/* Waits for the end of a planning job; failures on the way are reported, until the time limit. */
static int await_plan(struct snapshot *s, struct worker *worker, struct worker_answer *ret)
{
	int64_t until = time_now_ms() + s->settings->patience_ms;

	for (;;) {
		struct pollfd wait = { .fd = worker->socket, .events = POLLIN };
		int64_t left = until - time_now_ms();
		int r;

		if (left <= 0 || poll(&wait, 1, (int)left) == 0) {
			report_result("no list of the snapshot after %" PRId64 " s: %s",
				      s->settings->patience_ms / 1000,
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
			return SNAPSHOT_GO_ON;
		attempt_tell_trouble(s, ret->text);
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
 * Has a worker list the store, and checks what it wrote once it is dead and can write no more. `name`: that snapshot
 * again, or NULL for the newest. -ENOENT in *ret_missing: no such snapshot.
 */
static int make_plan(struct snapshot *s, const char *name, struct manifest *ret, bool *ret_missing)
{
	const struct snapshot_settings *settings = s->settings;
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
	if (r != SNAPSHOT_GO_ON)
		return r;
	if (a.kind == ANSWER_CHANGED) {
		report_result("%s", a.text);
		*ret_missing = true;
		return STAGE_AGAIN;
	}
	if (a.kind != ANSWER_DONE)
		return attempt_end_refused(&a);
	r = read_plan(fd, ret, reason);
	if (r) {
		report_result("plan refused: %s", *reason ? reason : strerror(-r));
		return r == -ENOMEM ? STAGE_AGAIN : STAGE_NEVER;
	}
	ret->left_out = a.left_out;
	return SNAPSHOT_GO_ON;
}

static int adopt_plan(struct snapshot *s, struct manifest *plan)
{
	char size[32];
	int r;

	blocks_adopt(plan, &s->manifest);
	manifest_free(&s->manifest);
	s->manifest = *plan;
	*plan = (struct manifest){ 0 };
	r = progress_adopt(&s->directory, &s->manifest);
	if (r)
		return attempt_end_disk(r, s->directory.reason);
	report_event(EVENT_INFO, "snapshot %s: %zu files, %s", s->manifest.name, s->manifest.count,
		     attempt_human(s->manifest.total, size));
	if (s->manifest.left_out)
		report_event(EVENT_DEBUG, "skipping %u node-local files of the snapshot", s->manifest.left_out);
	return SNAPSHOT_GO_ON;
}

/*
 * Why a plan would make no database, or NULL: it lacks what is required, or a file that was planned for the same
 * snapshot before. Snapshots of a store do not get smaller unless they are being deleted.
 */
static const char *plan_objection(const struct snapshot *s, const struct manifest *plan, char ret[static S3_ERROR_MAX])
{
	const char *lacks = whole_lacks(plan, &s->settings->rules);
	size_t gone = 0, n;

	for (size_t i = 0; !strcmp(plan->name, s->manifest.name) && i < s->manifest.count; i++)
		if (!manifest_find(plan, s->manifest.files[i].path) && !gone++) {
			printable_copy(s->manifest.files[i].path, ret, 160);
			n = strlen(ret);
			snprintf(ret + n, S3_ERROR_MAX - n, " is gone from the store");
		}
	n = strlen(ret);
	if (gone > 1)
		snprintf(ret + n, S3_ERROR_MAX - n, ", and %zu more files", gone - 1);
	if (!gone && lacks)
		snprintf(ret, S3_ERROR_MAX, "no %.160s in it, which is required", lacks);
	return gone || lacks ? ret : NULL;
}

/*
 * The store no longer has what the plan says: the same snapshot again if it is still there and whole, else the newest.
 */
int snapshot_plan(struct snapshot *s)
{
	char text[S3_ERROR_MAX] = "gone from the store";
	const char *objection = NULL;
	struct manifest plan = { 0 };
	bool missing = false;
	int r = SNAPSHOT_GO_ON;

	if (*s->manifest.name) {
		r = make_plan(s, s->manifest.name, &plan, &missing);
		if (r == SNAPSHOT_GO_ON)
			objection = plan_objection(s, &plan, text);
	}
	if (!*s->manifest.name || missing || objection) {
		if (missing || objection)
			report_event(EVENT_WARNING, "snapshot %s: %s; taking the newest", s->manifest.name, text);
		manifest_free(&plan);
		r = make_plan(s, NULL, &plan, &missing);
		objection = r == SNAPSHOT_GO_ON ? plan_objection(s, &plan, text) : NULL;
	}
	if (objection) {
		report_result("snapshot %s: %s", plan.name, objection);
		manifest_free(&plan);
		return STAGE_AGAIN;
	}
	return r == SNAPSHOT_GO_ON ? adopt_plan(s, &plan) : r;
}
