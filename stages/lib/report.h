/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stage side of the report socket (include/gantry/report.h): what a stage says to PID 1, and the artifacts that
 * it hands over or asks for. Every call is one whole datagram, so worker threads and forked workers may say things
 * too; only report_take() belongs to one thread. Nothing here fails for the sake of a text: it is cut to fit, and
 * a PID 1 that does not listen is not the stage's problem.
 */
#ifndef STAGES_LIB_REPORT_H
#define STAGES_LIB_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/event.h>

/* A message event, printf-like, in one line without a full stop. */
void report_event(enum event_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same with fields: a NULL-ended array of "key=value" strings. Fields that no longer fit are left out whole. */
void report_fields(enum event_level level, const char *const fields[], const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Bytes done of total (0: unknown), bytes a second as the caller smoothed it, UINT32_MAX seconds: unknown. */
void report_progress(uint64_t done, uint64_t total, uint64_t per_second, uint32_t eta_s, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/*
 * What the stage found out, for the status: key in lower-case letters, digits and `_`, of a constant; the value is cut
 * to fit, and never a secret. A key that was told before gets the new value. All facts together have at most
 * NODE_FACTS_MAX bytes; one that no longer fits is left out. For the stage's main process alone.
 */
void report_fact(const char *key, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The one-line reason of the stage's end, good or bad. The last one counts. */
void report_result(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, and there was nothing to do: the stage is skipped, not done. */
void report_skipped(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

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

/* Whether this process has told a result yet. */
bool report_has_result(void);

/*
 * Hands over an artifact: copies the bytes into a memfd, seals it against everything, and sends it. 0 or negative
 * errno. The caller keeps (and wipes) its own bytes. Blocks only while the socket's buffer is full.
 */
int report_give(const char *artifact, const void *bytes, size_t size);

/*
 * Asks for an artifact and waits at most timeout_ms (negative: for ever; 0: only looks). 0: *ret_fd is a sealed
 * memfd of at most ARTIFACT_SIZE_MAX bytes, the caller's to close. -ENOENT: nobody gives it any more. -ETIMEDOUT:
 * not yet; the request stands, so poll REPORT_FD for input beside other descriptors and call again with 0.
 * -EPIPE: PID 1 is gone. An artifact can be taken again after it was taken.
 */
int report_take(const char *artifact, int timeout_ms, int *ret_fd);

#endif
