/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is mounted, as the kernel lists it: for the end of the machine, where all of it is undone. */
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

/* Reads /proc/self/mountinfo. 0 or negative errno; what was read until then is in the list. */
int mounts_read(struct mounts *ret);
void mounts_free(struct mounts *mounts);

/* mountinfo and swaps write space, tab, newline and backslash as octal; undone in place. */
void mounts_unescape(char *text);

#endif
