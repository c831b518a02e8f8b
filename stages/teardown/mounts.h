/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of mounts, for the shutdown, which unmounts all of them. */
#ifndef STAGES_TEARDOWN_MOUNTS_H
#define STAGES_TEARDOWN_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

struct mount {
	char *path;
	bool fuse;	/* served by a process, which may not answer */
};

struct mounts {
	struct mount *list;	/* in the order they were made */
	size_t n;
};

/* Reads /proc/self/mountinfo. 0 or negative errno; the list has the entries read so far. */
int mounts_read(struct mounts *ret);
void mounts_free(struct mounts *mounts);

/* mountinfo and swaps write space, tab, newline and backslash as octal; undone in place. */
void mounts_unescape(char *text);

#endif
