/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A row of the table of children, for the two files that implement child.h: child.c (start, signal, reap) and report.c
 * (the report socket).
 */
#ifndef INIT_PROCESS_ROW_H
#define INIT_PROCESS_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "child.h"
#include "init/lib/loop.h"
#include "output.h"

#define CHILD_TAKES_MAX 4

struct child {
	bool used;
	pid_t pid;
	struct child *next;		/* in the hash chain of its pid, or in the list of free rows */
	struct child_spec spec;
	struct loop_source report;
	struct output output;
	bool skipped;
	bool exited;			/* reaped; its exit is reported once its output is read */
	int status;			/* from waitpid(), once exited */
	char *reason;			/* from REPORT_RESULT */
	char *text;			/* its latest message or line */
	char *cause;			/* its latest line that looks like an error */
	char *line;			/* buffer for the unfinished line of its output */
	char (*takes)[ARTIFACT_NAME_MAX];	/* CHILD_TAKES_MAX artifacts it waits for; "": none */
};

/* Call before the following functions, with all rows, used or not, and the receiver of nodes' reports. */
void child_report_init(struct child *rows, size_t n, const struct child_nodes *nodes);

/* The loop calls it when the report socket is readable. */
void child_report_ready(struct loop_source *source, uint32_t events);

/* Reads up to `most` pending datagrams. */
void child_read_reports(struct child *child, int most);
void child_close_report(struct child *child);

/* Drops its pending artifact requests. */
void child_forget_takes(struct child *child);

#endif
