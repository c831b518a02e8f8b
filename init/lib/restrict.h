/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every role of ours that meets the bytes of others gives up, whatever else it does: capabilities, new
 * privileges, being looked into, memory that can be executed, and all system calls but those it names. A service's
 * profile is another matter (profile.h).
 */
#ifndef INIT_LIB_RESTRICT_H
#define INIT_LIB_RESTRICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* System calls by number (seccomp.h's SCMP_SYS), and what becomes of who calls them: SCMP_ACT_... */
struct restrict_list {
	uint32_t action;
	const int *calls;
	size_t n;
};

#define RESTRICT_LIST(what, array) {(what), (array), sizeof(array) / sizeof(*(array))}

/* 0 or negative errno. */
int restrict_capabilities(void);

/*
 * From here on only what is listed as allowed works, and mmap() and mprotect() without PROT_EXEC; what no role of ours
 * ever calls ends the process; anything else is EPERM. `threads`: for those that run already, too. 0 or negative errno.
 */
int restrict_calls(const struct restrict_list *lists, size_t n, bool threads);

#endif
