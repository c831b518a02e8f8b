/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor: hands runs of blocks to the workers, journals what they have finished, and watches that the transfer
 * goes on. One poll over their sockets and a timer; a worker that ends gives its run back.
 */
#define _GNU_SOURCE
#include "fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>

#include <gantry/cleanup.h>

#include "parts.h"
#include "progress.h"
#include "stages/lib/backoff.h"
#include "stages/lib/report.h"

#define JOURNAL_SYNC_S    5
#define WORKER_DEATHS_MAX 8

static int start_run(struct snapshot *s, struct worker *worker, const struct blocks_run *run)
{
	struct worker_job job = { .kind = JOB_FETCH, .run = *run };
	_cleanup_(cleanup_close) int fd = parts_open(&s->directory, &s->manifest, run->file);
	int r;

	if (fd < 0)
		return attempt_end_disk(fd, s->directory.reason);
	r = worker_give(worker, &job, fd);
	/* One that is gone is noticed at its socket; it has the run as if it had begun. */
	worker->busy = true;
	worker->run = *run;
	if (!r || r == -EPIPE)
		return SNAPSHOT_GO_ON;
	report_result("worker did not take a job: %s", strerror(-r));
	return STAGE_AGAIN;
}

/* Gives every idle worker something to do, and starts one where there is none. */
static int feed(struct snapshot *s)
{
	struct worker_task task = { .store = &s->settings->store, .manifest = &s->manifest };

	for (unsigned i = 0; i < s->settings->connections; i++) {
		struct worker *worker = &s->workers[i];
		struct blocks_run run;
		int r;

		if (worker->busy || s->replan)
			continue;
		if (!blocks_take(&s->manifest, s->settings->chunk_blocks, &run))
			return SNAPSHOT_GO_ON;
		r = worker->pid ? 0 : worker_start(&task, &s->received[i], worker);
		if (r) {
			report_result("worker not started: %s", strerror(-r));
			return STAGE_AGAIN;
		}
		r = start_run(s, worker, &run);
		if (r != SNAPSHOT_GO_ON)
			return r;
	}
	return SNAPSHOT_GO_ON;
}

static int hear_done(struct snapshot *s, struct worker *worker)
{
	int r;

	worker->busy = false;
	blocks_mark(&s->manifest, &worker->run);
	r = progress_record(&s->directory, &worker->run);
	return r ? attempt_end_disk(r, s->directory.reason) : SNAPSHOT_GO_ON;
}

static int hear(struct snapshot *s, struct worker *worker)
{
	struct worker_answer a;
	int r, status;
	bool signalled;

	r = worker_hear(worker, &a);
	if (r == -EAGAIN)
		return SNAPSHOT_GO_ON;
	if (r || !worker->busy) {
		bool had_run = worker->busy;
		struct blocks_run run = worker->run;

		worker_end(worker, &status, &signalled);
		if (had_run)
			blocks_give_back(&s->manifest, &run);
		report_event(EVENT_WARNING, "worker %s %d", r == -EBADMSG ? "sent an invalid answer; ended by signal" :
			     signalled ? "ended by signal" : "ended with status", status);
		if (++s->deaths <= WORKER_DEATHS_MAX)
			return SNAPSHOT_GO_ON;
		report_result("workers died %u times", s->deaths);
		return STAGE_AGAIN;
	}
	switch (a.kind) {
	case ANSWER_DONE:
		return hear_done(s, worker);
	case ANSWER_TROUBLE:
		attempt_tell_trouble(s, a.text);
		return SNAPSHOT_GO_ON;
	case ANSWER_CHANGED:
		worker->busy = false;
		blocks_give_back(&s->manifest, &worker->run);
		report_event(EVENT_WARNING, "%s; listing again", a.text);
		s->replan = true;
		return SNAPSHOT_GO_ON;
	case ANSWER_DISK: {
		char text[S3_ERROR_MAX];

		snprintf(text, sizeof(text), "%s: writing %.160s: %.100s", s->directory.path,
			 s->manifest.files[worker->run.file].path, a.text);
		return attempt_end_disk(a.result, text);
	}
	default:
		return attempt_end_refused(&a);
	}
}

void fetch_end_workers(struct snapshot *s)
{
	for (unsigned i = 0; i < SNAPSHOT_CONNECTIONS; i++)
		worker_end(&s->workers[i], NULL, NULL);
}

static bool any_busy(const struct snapshot *s)
{
	for (unsigned i = 0; i < s->settings->connections; i++)
		if (s->workers[i].busy)
			return true;
	return false;
}

static int tick(struct snapshot *s, int64_t *last_ms)
{
	int64_t now = time_now_ms();
	uint64_t before = s->last_bytes;
	int r;

	attempt_tell_progress(s, now - *last_ms);
	*last_ms = now;
	if (s->last_bytes > before)
		s->grew_ms = now;
	if (now - s->journal_ms >= JOURNAL_SYNC_S * 1000) {
		s->journal_ms = now;
		r = progress_sync(&s->directory);
		if (r)
			return attempt_end_disk(r, s->directory.reason);
	}
	if (now - s->grew_ms < s->settings->patience_ms)
		return SNAPSHOT_GO_ON;
	report_result("nothing received for %" PRId64 " s: %s", s->settings->patience_ms / 1000,
		      *s->trouble ? s->trouble : "store does not answer");
	return STAGE_AGAIN;
}

/*
 * Until everything is here (SNAPSHOT_GO_ON), the plan no longer holds (SNAPSHOT_GO_ON and s->replan), or the
 * attempt ends.
 */
static int fetch_loop(struct snapshot *s, int timer)
{
	struct pollfd wait[1 + SNAPSHOT_CONNECTIONS];
	int64_t last_ms = time_now_ms();
	int r = feed(s);

	while (r == SNAPSHOT_GO_ON && any_busy(s)) {
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
		for (unsigned i = 0; i < s->settings->connections && r == SNAPSHOT_GO_ON; i++)
			if (wait[1 + i].revents)
				r = hear(s, &s->workers[i]);
		if (r == SNAPSHOT_GO_ON)
			r = feed(s);
	}
	return r;
}

int snapshot_fetch(struct snapshot *s)
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
	attempt_tell_progress(s, 0);
	r = fetch_loop(s, timer);
	/* Workers hold the manifest as it was when they were forked. */
	fetch_end_workers(s);
	if (r == SNAPSHOT_GO_ON)
		attempt_tell_progress(s, 0);
	else
		(void)progress_sync(&s->directory);
	return r;
}
