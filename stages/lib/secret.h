/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes that must not outlive their use: in pages of their own, locked, left out of core dumps and, as zeros, of
 * children, and wiped when released. `bytes` always has a NUL behind `size`, so that text can be read as text.
 */
#ifndef STAGES_LIB_SECRET_H
#define STAGES_LIB_SECRET_H

#include <stddef.h>

struct secret {
	unsigned char *bytes;	/* NULL: empty */
	size_t size;
	size_t mapped;
};

#define _cleanup_secret_ __attribute__((cleanup(secret_wipe)))

/* Zeroed bytes of the given size. 0 or negative errno; *ret is untouched on failure, in all three. */
int secret_new(size_t size, struct secret *ret);

/* Children that are forked from here on have it too. 0 or negative errno. */
int secret_share(const struct secret *secret);

/* A copy. The source stays, and stays the caller's to wipe. */
int secret_copy(const void *bytes, size_t size, struct secret *ret);

/* All bytes of a regular file or memfd from its start, at most maximum (-EFBIG beyond). Leaves fd open. */
int secret_read(int fd, size_t maximum, struct secret *ret);

/* Wipes, unlocks, releases, and zeroes the struct. Safe on a zeroed one. */
void secret_wipe(struct secret *secret);

#endif
