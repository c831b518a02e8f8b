/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands between PID 1's fork and a service's first instruction; also a role by itself, which finds the service's
 * object on descriptor 4.
 */
#ifndef INIT_LAUNCH_LAUNCH_H
#define INIT_LAUNCH_LAUNCH_H

/* For `ready.fd`: where PID 1 puts the descriptor, whatever number the service shall find it as. */
#define READY_FD_PASSED 5

/*
 * In a process that PID 1 has forked, in a session of its own, signals at their defaults, with the report socket as
 * descriptor 3, the standard ones in place, for `ready.fd` READY_FD_PASSED, and no others: becomes the program of this
 * service object (JSON text), or reports why not and ends. The socket closed without a report: it runs.
 */
_Noreturn void launch_service(const char *json);

/* In a process that forks many of those: what the first use of memory and JSON costs is paid once, here. */
void launch_prepare(void);

#endif
