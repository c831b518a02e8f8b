/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The restrictions of every role that parses bytes from outside, in addition to its own: no capabilities, no new
 * privileges, no core dump or ptrace, no executable memory, and only the system calls that it lists.
 */
#ifndef INIT_LIB_RESTRICT_H
#define INIT_LIB_RESTRICT_H

#include <stdbool.h>
#include <stddef.h>

#include "sysfilter.h"

/* 0 or negative errno. */
int restrict_capabilities(void);

/*
 * After restrict_capabilities(). From here on a call has the action of its list or argument, and mmap() and mprotect()
 * work without PROT_EXEC; a call in no list of the caller's that only an intruder would make ends the process; any
 * other call is EPERM. `threads`: for those that run already, too. 0 or negative errno.
 */
struct restriction {
	struct sysfilter_list lists[SYSFILTER_LISTS_MAX - 1];
	struct sysfilter_argument arguments[16];	/* those without an action count for nothing */
	bool threads;
};

int restrict_calls(const struct restriction *with);

#endif
