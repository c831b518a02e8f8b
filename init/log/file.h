/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of one service's log: NAME.log is written to, NAME.log.1 to NAME.log.N are older. It rotates by renaming,
 * between two lines, so a log shipper always finds the newest lines in NAME.log. If NAME.log is a link, a directory or
 * a file with a second name, it is not written to.
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
	unsigned files;		/* including NAME.log; at least 2 */
	bool within;		/* the last line is incomplete */
	bool dirty;
};

/*
 * Writes whole lines, or the rest of lines of which an earlier call wrote a part. Opens and rotates as needed;
 * max_bytes must be at least size. 0, or negative errno; *ret_written: number of bytes written, also on failure.
 */
int logfile_write(struct logfile *file, int directory, const char *lines, size_t size, size_t *ret_written);

/* Syncs and closes. 0 or negative errno. */
int logfile_close(struct logfile *file);

/*
 * Like mkdir -p; `above` is the mode of new parents. The last path segment must not be a link. Returns a descriptor of
 * the directory, or negative errno.
 */
int logfile_directory(const char *path, mode_t above);

/* The same, and changes the owner to uid and gid if this process is root. */
int logfile_directory_of(const char *path, uint32_t uid, uint32_t gid);

#endif
