/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Landlock (landlock(7)) for processes that need few files: a list of places, and which TCP they use. */
#ifndef INIT_LIB_LANDLOCK_H
#define INIT_LIB_LANDLOCK_H

#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel's headers may be older than these. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

#define LANDLOCK_WANTED 6	/* the version that has all of it: scopes came last */

enum landlock_tcp {
	LANDLOCK_NO_TCP,
	LANDLOCK_BINDS,		/* may bind `port`, and connects to nothing */
	LANDLOCK_CONNECTS,	/* to any port, and binds none */
};

struct landlock_place {
	int fd;			/* a file or directory, O_PATH is enough; -1: none */
	uint64_t rights;	/* LANDLOCK_ACCESS_FS_...; of a file, those of directories count for nothing */
};

struct landlock {
	const struct landlock_place *places;
	size_t n_places;
	enum landlock_tcp tcp;
	uint16_t port;
	bool scoped;		/* no signal to a process outside, no abstract socket of one; of one thread only */
};

/*
 * From here on this thread and all that it starts opens only what is listed. Needs no_new_privs. 0, also where the
 * kernel has no landlock or an older one that knows less: user, root and seccomp filter remain; or negative errno.
 */
int landlock_restrict(const struct landlock *with);

/*
 * No signal to a process outside, with `sockets` no abstract socket of one, and nothing else; from version 6 on. Needs
 * no_new_privs or CAP_SYS_ADMIN.
 */
int landlock_scope(bool sockets);

/* The kernel's version of it, 0: it has none. */
int landlock_version(void);

#endif
