/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes of the snapshot stage that talk to the store. Each is forked, has no capability, no other descriptor
 * than its job socket and the one file that comes with a job, and connects only to the store. The stage sends jobs and
 * gets answers, which it checks against the job.
 */
#ifndef STAGES_SNAPSHOT_WORKER_H
#define STAGES_SNAPSHOT_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "blocks.h"
#include "s3.h"

enum worker_job_kind {
	JOB_PLAN = 1,	/* write the manifest of the newest snapshot, or of the one named, into the file */
	JOB_FETCH,	/* fetch a run of blocks into the file */
};

struct worker_job {
	uint32_t kind;
	struct blocks_run run;
	char name[MANIFEST_NAME_MAX + 1];	/* JOB_PLAN: empty for the newest */
};

enum worker_answer_kind {
	ANSWER_TROUBLE = 1,	/* the store fails, the worker tries again; text says how */
	ANSWER_DONE,		/* the job is done, and its bytes are on the disk */
	ANSWER_CHANGED,		/* the object is not, or no longer, as in the plan */
	ANSWER_REFUSED,		/* the store or its answer is refused; no use in going on at once */
	ANSWER_DISK,		/* writing failed: result is the errno */
	ANSWER_MAX,
};

struct worker_answer {
	uint32_t kind;
	int32_t result;
	struct blocks_run run;	/* that of the job */
	uint32_t left_out;		/* JOB_PLAN */
	char text[S3_ERROR_MAX];
};

struct worker {
	pid_t pid;
	int pidfd, socket;
	bool busy;
	struct blocks_run run;
	_Atomic uint64_t *received;	/* bytes of the present job, counted by the worker in shared memory */
};

struct worker_task {
	const struct s3_store *store;
	const char *prefix, *latest;		/* JOB_PLAN: PREFIX/LATEST names the newest, PREFIX/NAME/ holds it */
	const struct manifest *manifest;	/* JOB_FETCH; as it was at the fork */
};

/* 0 or negative errno. `received` must be shared memory. */
int worker_start(const struct worker_task *task, _Atomic uint64_t *received, struct worker *ret);
int worker_give(struct worker *worker, const struct worker_job *job, int fd);
/* One answer. 0, -EAGAIN: none now, -EPIPE: the worker is gone, -EBADMSG: it is not one. */
int worker_hear(struct worker *worker, struct worker_answer *ret);
/*
 * Kills and reaps it; *ret_status as in waitid's si_status, *ret_signalled if a signal ended it. Safe on a
 * zeroed one.
 */
void worker_end(struct worker *worker, int *ret_status, bool *ret_signalled);

#endif
