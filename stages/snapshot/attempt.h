/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One attempt of the stage: its settings, directory, plan and workers, and what it reports. Every step of snapshot.c,
 * plan.c and fetch.c returns SNAPSHOT_GO_ON, or, once it has reported why, how the attempt ends (enum stage_result).
 */
#ifndef STAGES_SNAPSHOT_ATTEMPT_H
#define STAGES_SNAPSHOT_ATTEMPT_H

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
	struct whole_rules rules;
	bool keep_any;		/* a directory that is no whole database is kept as it is */
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

const char *attempt_human(uint64_t bytes, char ret[static 32]);		/* "64 MiB" */
void attempt_tell_progress(struct snapshot *s, int64_t elapsed_ms);
void attempt_tell_trouble(struct snapshot *s, const char *text);	/* the first at once, later ones rarely */
int attempt_end_refused(const struct worker_answer *a);
int attempt_end_disk(int result, const char *text);

#endif
