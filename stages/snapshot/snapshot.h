/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the snapshot stage share: the settings, and one attempt with its directory, plan and
 * workers. Every step returns SNAPSHOT_GO_ON, or, once it has reported why, how the attempt ends (enum
 * stage_result).
 */
#ifndef STAGES_SNAPSHOT_SNAPSHOT_H
#define STAGES_SNAPSHOT_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <gantry/stage.h>

#include "directory.h"
#include "stages/lib/secret.h"
#include "worker.h"

#define SNAPSHOT_GO_ON       (-1)
#define SNAPSHOT_CONNECTIONS 64		/* at most */

enum snapshot_secret { ENDPOINT, ACCESS_KEY, SECRET_KEY, SNAPSHOT_SECRETS };

struct snapshot_settings {
	const char *prefix, *latest, *directory;
	uid_t uid;
	gid_t gid;
	unsigned connections;
	uint64_t chunk_blocks;
	int64_t patience_ms;
	struct secret secrets[SNAPSHOT_SECRETS];
	struct s3_store store;
};

struct snapshot {
	const struct snapshot_settings *settings;
	struct directory directory;
	struct manifest manifest;
	struct worker workers[SNAPSHOT_CONNECTIONS];
	_Atomic uint64_t *received;		/* one for each worker */
	unsigned deaths;
	int64_t began_ms, grew_ms, troubled_ms, journal_ms;
	unsigned troubles;
	uint64_t last_bytes;
	double per_second;
	bool replan;
	char trouble[S3_ERROR_MAX];
};

/* plan.c: a worker lists the store; the plan becomes that of the directory. */
int snapshot_plan(struct snapshot *s);

/* fetch.c: until everything is here, or (s->replan) the store no longer has what the plan says. */
int snapshot_fetch(struct snapshot *s);
void snapshot_end_workers(struct snapshot *s);

/* tell.c */
const char *snapshot_human(uint64_t bytes, char ret[static 32]);		/* "64 MiB" */
void snapshot_tell_progress(struct snapshot *s, int64_t elapsed_ms);
void snapshot_tell_trouble(struct snapshot *s, const char *text);		/* at once, then now and again */
int snapshot_end_refused(const struct worker_answer *a);
int snapshot_end_disk(int result, const char *text);

#endif
