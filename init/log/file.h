/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of one service's log: NAME.log, which is written to, and NAME.log.1 to NAME.log.N, older ones. It rotates
 * by renaming, at the end of a line, so NAME.log is always where a log shipper looks for it. What else lies in the
 * directory - a link, a directory, a second name of another file - is never written to.
 */
#ifndef INIT_LOG_FILE_H
#define INIT_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gantry/plan.h>

#define LOGFILE_FILES_MAX 100

struct logfile {
	char name[NODE_NAME_MAX];
	int fd;			/* -1: not open */
	int64_t size, max_bytes;
	unsigned files;		/* in all, at least 2 */
	bool within;		/* the last line is not whole yet */
	bool dirty;
};

/*
 * Writes whole lines, of which an earlier call may already have written a part. Opens and rotates as needed; max_bytes
 * must be at least size. 0, or negative errno; *ret_written: bytes that are in the file, also on failure.
 */
int logfile_write(struct logfile *file, int directory, const char *lines, size_t size, size_t *ret_written);

/* Syncs and closes. 0 or negative errno. */
int logfile_close(struct logfile *file);

/*
 * mkdir -p, `above` being the mode of those above it; no link is followed at the last step. A descriptor of the
 * directory, or negative errno.
 */
int logfile_directory(const char *path, mode_t above);

/* The same, owned by uid and gid if this process may give it away. */
int logfile_directory_of(const char *path, uint32_t uid, uint32_t gid);

#endif
