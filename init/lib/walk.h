/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Root writes in folders that services own, and whoever owns a folder of a path can put a symbolic link in the place
 * of what is below it. So no whole path is given to the kernel: a path is walked from / one name at a time, and a link
 * is followed nowhere, or only where nobody but root can have made it: it is root's, and so is each folder on the way.
 */
#ifndef INIT_LIB_WALK_H
#define INIT_LIB_WALK_H

#include <sys/stat.h>

enum walk_links {
	WALK_NO_LINKS,		/* -ENOTDIR */
	WALK_ROOTS_LINKS,	/* -ELOOP for one that another may have made */
};

/*
 * The directory that holds the last name of path (O_PATH), and in *ret_name that name, which is not looked at. make:
 * the mode of the directories that it makes where they are missing, 0: none. A descriptor or negative errno.
 */
int walk_parent(const char *path, enum walk_links links, mode_t make, const char **ret_name);

/* The file itself (O_PATH), of any kind but a link; root's links are followed. A descriptor or negative errno. */
int walk_open(const char *path);

/* As far as walk_open() gets. */
int walk_nearest(const char *path);

/* strerror(3) of an error of these, in words that fit a link that is refused. */
const char *walk_words(int error);

#endif
