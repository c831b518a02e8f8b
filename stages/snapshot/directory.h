/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot on the disk. In DIRECTORY/.gantry-snapshot (root's, 0700) lie the manifest, the journal and the files
 * that are not whole yet; a file gets its own name only when every file is whole and on the disk, and the mark
 * `complete` comes last. No symlink is followed below DIRECTORY, and only files of that folder are replaced or
 * deleted.
 */
#ifndef STAGES_SNAPSHOT_DIRECTORY_H
#define STAGES_SNAPSHOT_DIRECTORY_H

#include <stdint.h>
#include <sys/types.h>

#include "blocks.h"
#include "whole.h"

struct directory {
	const char *path;
	uid_t uid;	/* owner of new files; (uid_t)-1: unchanged */
	gid_t gid;
	const struct whole_rules *rules;
	int fd, state_fd, parts_fd, journal_fd;
	char reason[S3_ERROR_MAX];	/* of the last failure, one line */
};

enum directory_standing {
	DIRECTORY_EMPTY,	/* nothing in it but node-local files */
	DIRECTORY_PARTIAL,	/* a partial snapshot, which directory_load() reads */
	DIRECTORY_COMPLETE,	/* reason holds the snapshot's name */
	DIRECTORY_LOST,		/* it was complete, and is no longer; reason says what is wrong */
	DIRECTORY_POPULATED,	/* a database, but no state folder; reason names an entry */
	DIRECTORY_HALF,		/* files that are no whole database, and no state folder; reason says why not */
	DIRECTORY_DAMAGED,	/* files, and an invalid state folder; reason names a file */
};

#define DIRECTORY_CLOSED { .fd = -1, .state_fd = -1, .parts_fd = -1, .journal_fd = -1 }

/* Negative errno and d->reason on failure, in all of these. */
int directory_open(struct directory *d, const char *path, uid_t uid, gid_t gid,
		   const struct whole_rules *rules);	/* may make it */
void directory_close(struct directory *d);
int directory_look(struct directory *d, enum directory_standing *ret);
int directory_load(struct directory *d, struct manifest *ret);
/* Makes this the plan, with the blocks that are marked in it; drops parts that are in no plan any more. */
int directory_adopt(struct directory *d, struct manifest *m);
/* Bytes that have still to be allocated, and that are free for us. */
int directory_space(struct directory *d, const struct manifest *m, uint64_t *ret_needed, uint64_t *ret_free);
/* The descriptor of a file's part, made and given its full size where missing. */
int directory_open_part(struct directory *d, const struct manifest *m, uint32_t file);
int directory_record(struct directory *d, const struct blocks_run *run);
int directory_sync_journal(struct directory *d);
/*
 * Every file to its name, then the mark. -EEXIST: something that is not ours has that name. -ENODATA: a file is not
 * there, or not whole.
 */
int directory_finish(struct directory *d, struct manifest *m);

#endif
