/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which shared libraries an ELF file needs, by name, and where it says that they are. */
#ifndef INIT_CONFIG_LIBRARIES_H
#define INIT_CONFIG_LIBRARIES_H

#include <stddef.h>

#define LIBRARY_NAME_MAX 128
#define LIBRARIES_MAX    64	/* of one file; further ones are not told */
#define RUNPATH_MAX      512

struct libraries {
	size_t n;
	char names[LIBRARIES_MAX][LIBRARY_NAME_MAX];
	char runpath[RUNPATH_MAX];	/* folders with ":" between them; "": none */
};

/* Of the file at fd, whose bytes may be anything; none if it is no dynamic ELF file of 64 bits. */
void libraries_of(int fd, struct libraries *ret);

#endif
