/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the database whole? Asked of a plan, of a directory whose snapshot was once complete, and of one that somebody
 * else has filled. Presence and sizes alone: cheap at each boot.
 */
#ifndef STAGES_SNAPSHOT_WHOLE_H
#define STAGES_SNAPSHOT_WHOLE_H

#include <stddef.h>

#include "manifest.h"

#define WHOLE_REQUIRED_MAX 16
#define WHOLE_CHANGES_MAX  64

struct whole_rules {
	const char *required[WHOLE_REQUIRED_MAX];	/* paths that a database has; may grow */
	const char *changes[WHOLE_CHANGES_MAX];		/* fnmatch(3) patterns: what the node changes or deletes */
	size_t n_required, n_changes;
};

/* The first required path that the plan lacks, or NULL. */
const char *whole_lacks(const struct manifest *m, const struct whole_rules *rules);

/*
 * All files of the plan are there, and have their sizes, but for what the node changes by itself. 0, or -ENODATA with a
 * reason. rules NULL: no node has been at work yet.
 */
int whole_planned(int directory, const struct manifest *m, const struct whole_rules *rules,
		  char reason[static S3_ERROR_MAX]);

/* A directory without a plan: it has what is required, and nothing that another program left half-done. Likewise. */
int whole_found(int directory, const struct whole_rules *rules, char reason[static S3_ERROR_MAX]);

#endif
