/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's signals: requests to stop, SIGCHLD, and those that a bug in PID 1 raises.
 */
#ifndef INIT_PID1_SIGNALS_H
#define INIT_PID1_SIGNALS_H

/*
 * From here on the loop handles every signal: SIGTERM, SIGINT (also ctrl-alt-del) and SIGPWR call `stop` with the pid
 * of the sender (0: the kernel), SIGCHLD reaps. A crash of PID 1 reboots the machine; the signal of a crash that
 * another process sent is an event. 0 or negative errno.
 */
int signals_init(void (*stop)(int sig, int sender));

#endif
