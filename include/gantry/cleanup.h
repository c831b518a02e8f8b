/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Release at the end of a scope: `_cleanup_(cleanup_close) int fd = -1;`. For types that every room uses; functions for
 * the types of a library are where that library is used.
 */
#ifndef GANTRY_CLEANUP_H
#define GANTRY_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

/* Keeps errno, so that an error on its way up survives the close. */
static inline void cleanup_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#endif
