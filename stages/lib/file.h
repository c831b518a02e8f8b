/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole files in an open directory: read up to a maximum size, and replaced so that after a power cut they hold the
 * old content or the new, never a mixture. The last path component may not be a symlink. And reads and writes of all
 * bytes, across signals and short counts.
 */
#ifndef STAGES_LIB_FILE_H
#define STAGES_LIB_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILE_NAME_SIZE_MAX 200	/* of a name given here; a suffix is added to it for the new file */

/*
 * All bytes of a regular file, with a NUL behind them, the caller's to free. -EFBIG beyond maximum, or an
 * errno.
 */
int file_read(int directory, const char *name, size_t maximum, char **ret, size_t *ret_size);

/* The first line of a file of the kernel (sysfs, procfs), without its newline, cut to size. 0 or negative errno. */
int file_read_line(const char *path, char *ret, size_t size);

/* All of them, or negative errno: -EIO where nothing more is taken, or is there. */
int file_write_at(int fd, const void *bytes, size_t size, uint64_t offset);
int file_read_at(int fd, void *bytes, size_t size, uint64_t offset);

/* Written beside under NAME.new, synced, renamed, and the directory synced. */
int file_replace(int directory, const char *name, const char *bytes, size_t size, mode_t mode);

#endif
