/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a stage reports to PID 1 besides what every role does (init/lib/report.h): facts for the status, and lists of
 * strings.
 */
#ifndef STAGES_LIB_REPORT_H
#define STAGES_LIB_REPORT_H

#include "init/lib/report.h"

/*
 * A fact that the stage found out, for the status: key in lower-case letters, digits and `_`, of a constant; the value
 * is cut to fit, and never a secret. A key that was reported before gets the new value. All facts together have at most
 * NODE_FACTS_MAX bytes; one that no longer fits is left out. For the stage's main process alone.
 */
void report_fact(const char *key, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Strings for PID 1, in as many messages of this kind (REPORT_CHANGED, REPORT_FLAGS) as they take. report_string()
 * gathers them, report_strings_end() sends what has been gathered.
 */
struct report_strings {
	int kind;		/* enum report_kind */
	size_t size;
	char bytes[1024];
};

void report_string(struct report_strings *strings, const char *text);
void report_strings_end(struct report_strings *strings);

#endif
