/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose socket takes the connections to a local TCP address: that a port answers says nothing about the service that is
 * to be ready there, since another process, or an earlier life's, may have taken it. Only reads /proc and cgroupfs.
 */
#ifndef INIT_LAUNCH_LISTENER_H
#define INIT_LAUNCH_LISTENER_H

#include <sys/socket.h>

enum listener {
	LISTENER_NONE,		/* no socket of this network namespace: a rule or another machine answers there */
	LISTENER_OWN,		/* a process in the cgroup has it open */
	LISTENER_FOREIGN,	/* none of them has */
};

/* `folder`: of the cgroup, those below it count. Needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. Or negative errno. */
int listener_find(const struct sockaddr_storage *address, const char *folder);

#endif
