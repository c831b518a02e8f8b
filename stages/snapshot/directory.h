/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directory of a snapshot. In DIRECTORY/.gantry-snapshot (root's, 0700) lie the manifest, the journal and the files
 * that are not whole yet (progress.h, parts.h). No symlink is followed below DIRECTORY, and only files of that folder
 * are replaced or deleted.
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

#define DIRECTORY_CLOSED { .fd = -1, .state_fd = -1, .parts_fd = -1, .journal_fd = -1 }

/* Negative errno and d->reason on failure, in all functions with a directory. */
int directory_open(struct directory *d, const char *path, uid_t uid, gid_t gid,
		   const struct whole_rules *rules);	/* may make it */
void directory_close(struct directory *d);

/* Opens the state folder; -ENOENT: there is none. Or makes it where that is so. */
int directory_open_state(struct directory *d);
int directory_make_state(struct directory *d);

/* A file of the state folder, by rename. */
int directory_replace(struct directory *d, const char *name, const char *bytes, size_t size);

/* The manifest in the state folder; without a reason on failure. */
int directory_load_plan(struct directory *d, struct manifest *ret);

/* What the file `complete` holds for that manifest. */
size_t directory_format_mark(const struct manifest *m, char *ret, size_t room);

int directory_open_below(int at, const char *name);
/* A new one belongs to the owner from the start; one that is there stays as it is. A descriptor or negative errno. */
int directory_make_below(const struct directory *d, int at, const char *name);

/* Writes d->reason. `result`, or -errno. */
int directory_fail(struct directory *d, int result, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int directory_fail_errno(struct directory *d, const char *doing, const char *what);

#endif
