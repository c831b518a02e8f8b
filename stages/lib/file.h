/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole files in a directory that is held open: read within a bound, and replaced so that after a power cut
 * there is the old content or the new, never a mixture. No symlink is followed at the name itself.
 */
#ifndef STAGES_LIB_FILE_H
#define STAGES_LIB_FILE_H

#include <stddef.h>
#include <sys/types.h>

#define FILE_NAME_SIZE_MAX 200	/* of a name given here; a suffix is added to it for the new file */

/*
 * All bytes of a regular file, with a NUL behind them, the caller's to free. -EFBIG beyond maximum, or an
 * errno.
 */
int file_read(int directory, const char *name, size_t maximum, char **ret, size_t *ret_size);

/* All of it, whatever signals come. */
int file_write(int fd, const char *bytes, size_t size);

/* Written beside under NAME.new, synced, renamed, and the directory synced. */
int file_replace(int directory, const char *name, const char *bytes, size_t size, mode_t mode);

#endif
