/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's signals: those that ask it to stop, SIGCHLD, and those that tell of a bug of its own.
 */
#ifndef INIT_PID1_SIGNALS_H
#define INIT_PID1_SIGNALS_H

/*
 * From here on every signal comes through the loop; SIGTERM, SIGINT (ctrl-alt-del too) and SIGPWR go to `stop` with
 * the process that sent them (0: the kernel), and whatever has ended is reaped. 0 or negative errno.
 */
int signals_init(void (*stop)(int sig, int sender));

#endif
