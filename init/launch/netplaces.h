/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What dhcpcd and chronyd, which read whatever the network sends, may open: their configuration, what each works on,
 * and the directories that their service makes for them before each start. docs/rights.md lists it.
 */
#ifndef INIT_LAUNCH_NETPLACES_H
#define INIT_LAUNCH_NETPLACES_H

struct json_object;

/*
 * For a service with one of these two programs: from here on this process opens nothing else, uses no TCP and signals
 * no process outside (landlock.h). Needs no_new_privs. 0, also for any other service, -ENOSYS on a kernel without
 * landlock, or another negative errno.
 */
int netplaces_restrict(struct json_object *service);

#endif
