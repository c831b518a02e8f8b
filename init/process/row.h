/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A row of the table of children, for the two files that implement child.h: child.c, a child's life, and
 * report.c, what it says meanwhile.
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
	struct child *next;		/* of those with the same hash of their pid, or of the free ones */
	struct child_spec spec;
	struct loop_source report;
	struct output output;
	bool skipped;
	bool exited;			/* reaped; its exit is reported once its last words are read */
	int status;			/* then, of waitpid() */
	char *reason;			/* from REPORT_RESULT */
	char *text;			/* last thing it said */
	char *line;			/* what it prints, as far as it goes */
	char (*takes)[ARTIFACT_NAME_MAX];	/* CHILD_TAKES_MAX artifacts it waits for; "": none */
};

/* Before any of the following: all rows, used or not, and who takes what they report. */
void child_report_init(struct child *rows, size_t n, const struct child_nodes *nodes);

/* Of the report socket: called by the loop. */
void child_report_ready(struct loop_source *source, uint32_t events);

/* Reads what is there, so many datagrams at most. */
void child_read_reports(struct child *child, int most);
void child_close_report(struct child *child);

/* It waits for no artifact any more. */
void child_forget_takes(struct child *child);

#endif
