/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher, from PID 1's fork to a service's first instruction; also the role launch, with the service's object on
 * descriptor 4.
 */
#ifndef INIT_LAUNCH_LAUNCH_H
#define INIT_LAUNCH_LAUNCH_H

/* For `ready.fd`: the descriptor's number from PID 1; the launcher moves it to the configured one. */
#define READY_FD_PASSED 5

/*
 * In a process that PID 1 has forked, in a session of its own, signals at their defaults, with the report socket as
 * descriptor 3, the standard ones in place, for `ready.fd` READY_FD_PASSED, and no others: executes the program of this
 * service object (JSON text), or reports the reason and ends. The socket closed without a report: it was executed.
 */
_Noreturn void launch_service(const char *json);

/* For the fork server: pays the cost of the first allocation and JSON parse once, before it forks launchers. */
void launch_prepare(void);

#endif
