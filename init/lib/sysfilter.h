/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A seccomp filter made of tables: lists of system calls with an action for each list, and a default for all other
 * calls. The tables are with their users: a service's profile, a stage's filter, the roles' allow lists.
 */
#ifndef INIT_LIB_SYSFILTER_H
#define INIT_LIB_SYSFILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* System calls by number (seccomp.h's SCMP_SYS); action: SCMP_ACT_..., another one than the filter's default. */
struct sysfilter_list {
	uint32_t action;
	const int *calls;
	size_t n;
};

#define SYSFILTER_LISTS_MAX 10

#define SYSFILTER_LIST(what, array) {(what), (array), sizeof(array) / sizeof(*(array))}

/* A call whose argument `index`, masked, has this value; without a mask, one whose argument has another value. */
struct sysfilter_argument {
	uint32_t action;
	int call;
	unsigned index;
	uint64_t mask, value;
};

/* prlimit() of the caller itself: it asks for no capability, only for the target's user: root could set PID 1's. */
#define SYSFILTER_OWN_LIMITS {SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 0, ~0ULL, 0}

/*
 * Seven rows: each kind of namespace that clone() can make. clone3() has its flags where no filter sees them; a filter
 * with these rows refuses it with ENOSYS, and libc uses clone().
 */
#define SYSFILTER_NAMESPACES(what) \
	SYSFILTER_CLONE(what, CLONE_NEWNS), SYSFILTER_CLONE(what, 0x02000000 /* CLONE_NEWCGROUP */), \
	SYSFILTER_CLONE(what, CLONE_NEWUTS), SYSFILTER_CLONE(what, CLONE_NEWIPC), \
	SYSFILTER_CLONE(what, CLONE_NEWUSER), SYSFILTER_CLONE(what, CLONE_NEWPID), SYSFILTER_CLONE(what, CLONE_NEWNET)
#define SYSFILTER_CLONE(what, flag) {(what), SCMP_SYS(clone), 0, (flag), (flag)}

struct sysfilter {
	uint32_t otherwise;		/* of calls in no list */
	uint32_t other_abi;		/* of calls by another ABI's numbers, which no list can name */
	bool threads;			/* for the threads that run already, too */
	/*
	 * A call that is in several lists has the action of the first; one with rules for an argument has their
	 * action, or `otherwise`. Lists without calls count for nothing.
	 */
	struct sysfilter_list lists[SYSFILTER_LISTS_MAX];
	const struct sysfilter_argument *arguments;
	size_t n_arguments;
};

/*
 * Loads the filter for this thread and all that it starts, for good. Needs no_new_privs, which it does not set, or
 * CAP_SYS_ADMIN. 0 or negative errno.
 */
int sysfilter_load(const struct sysfilter *filter);

#endif
