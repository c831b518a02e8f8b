/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a process that PID 1 started has exited. */
#ifndef INIT_LIB_EXIT_H
#define INIT_LIB_EXIT_H

#include <stdbool.h>

struct process_exit {
	int status;		/* exit status, or -1 when killed by `signal` */
	int signal;
	bool skipped;		/* REPORT_RESULT carried REPORT_SKIPPED */
	const char *reason;	/* from REPORT_RESULT or what it printed last; may be NULL */
	bool printed;		/* the latter: it says nothing about the exit status */
};

#endif
