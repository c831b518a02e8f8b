/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What reth does with the static files of a snapshot by itself: it writes on in the last range of each segment, and its
 * pruner deletes ranges from below, never the highest one. So a file of a lower range is either there with its size, or
 * gone with all below it. Their names: static_files/static_file_SEGMENT_FIRST_LAST, and the same with an ending.
 */
#ifndef STAGES_SNAPSHOT_RETH_H
#define STAGES_SNAPSHOT_RETH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETH_SEGMENTS_MAX 16	/* reth has six; files of more are as any other file */

struct reth_segment {
	char name[48];
	uint64_t last_planned;	/* the highest FIRST in the plan */
	uint64_t lowest_here;	/* the lowest FIRST on the disk */
	bool here;		/* any on the disk */
};

struct reth_segments {
	struct reth_segment segments[RETH_SEGMENTS_MAX];
	size_t count;
};

/* Each static file of the plan, by its path; then the disk, once the plan is through. Others are ignored. */
void reth_plan(struct reth_segments *all, const char *path);
void reth_look(struct reth_segments *all, int directory);

/* Could reth have made this of a planned file: deleted it, or changed its size? False for any other file. */
bool reth_deletes(const struct reth_segments *all, const char *path);
bool reth_writes(const struct reth_segments *all, const char *path);

#endif
